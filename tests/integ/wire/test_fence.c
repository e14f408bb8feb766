#include "tests/integ/wire/wire.h"
const struct wire_test tests_fence[] = { { NULL, NULL, NULL } };
