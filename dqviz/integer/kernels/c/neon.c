#include "kernels.h"
const Set neon_set;
