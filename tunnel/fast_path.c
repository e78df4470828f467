#include "tunnel/fast_path.h"

FLAGS_DEFINE_ALIASES(fast_path, FAST_PATH_LIST, FAST_PATH_ALIASES);
