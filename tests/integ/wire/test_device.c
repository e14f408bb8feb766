#include "tests/integ/wire/wire.h"
const struct wire_test tests_device[] = { { NULL, NULL, NULL } };
