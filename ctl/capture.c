#include "ctl/capture.h"

FLAGS_DEFINE(capture_want, CAPTURE_WANT_LIST);
ENUM_DEFINE(capture_kind, CAPTURE_KIND_LIST);
