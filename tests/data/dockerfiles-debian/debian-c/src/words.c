#include "words.h"

const char *first(void) { return "hello"; }
