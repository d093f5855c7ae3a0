#define NAME(f) plain_##f
#include "plain.inc"
