#include "tests/integ/wire/wire.h"
const struct wire_test tests_garbage[] = { { NULL, NULL, NULL } };
