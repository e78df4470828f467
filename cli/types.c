#include "cli/types.h"

#include "base/ctl.h"
#include "base/log.h"
#include "base/value.h"
#include "crypto/aead.h"
#include "tunnel/options.h"
#include "wg/cookie.h"
#include "wg/device.h"
#include "wg/drop.h"
#include "wg/index.h"
#include "wg/messages.h"
#include "wg/peer.h"
#include "wg/timers.h"

#define PUBLIC true
#define INTERNAL false

/* One row per type, by name: tag, list, and whether tests/enum.lock holds its members fast. */
#define TYPES(X)                                                                                   \
	X(aead_backend, AEAD_BACKEND_LIST, PUBLIC)                                                 \
	X(cookie_verdict, COOKIE_VERDICT_LIST, PUBLIC)                                             \
	X(ctl_kind, CTL_KIND_LIST, PUBLIC)                                                         \
	X(flags_boundary, FLAGS_BOUNDARY_LIST, INTERNAL)                                           \
	X(index_type, INDEX_TYPE_LIST, INTERNAL)                                                   \
	X(log_level, LOG_LEVEL_LIST, PUBLIC)                                                       \
	X(options_action, OPTIONS_ACTION_LIST, INTERNAL)                                           \
	X(peer_signal, PEER_SIGNAL_LIST, INTERNAL)                                                 \
	X(peer_timer, PEER_TIMER_LIST, INTERNAL)                                                   \
	X(value_kind, VALUE_KIND_LIST, INTERNAL)                                                   \
	X(wg_drop, WG_DROP_LIST, PUBLIC)                                                           \
	X(wg_effect_kind, WG_EFFECT_LIST, INTERNAL)                                                \
	X(wg_event, WG_EVENT_LIST, PUBLIC)                                                         \
	X(wg_message, WG_MESSAGE_LIST, PUBLIC)

#define DEFINE_(tag, LIST, is_public)                                                              \
	ENUM_DEFINE_AS(static const struct enum_type type_##tag, tag, LIST);
#define ROW_(tag, LIST, is_public) {&type_##tag, is_public},

TYPES(DEFINE_)

const struct cli_type cli_types[] = {TYPES(ROW_)};
const size_t cli_n_types = array_size(cli_types);
