#include "cli/types.h"

#include "base/ctl.h"
#include "base/log.h"
#include "base/value.h"
#include "conf/file.h"
#include "crypto/aead.h"
#include "ctl/capture.h"
#include "ctl/protocol.h"
#include "office/export.h"
#include "office/given.h"
#include "office/lab_plan.h"
#include "office/status.h"
#include "scope/icmp_errors.h"
#include "tunnel/fast_path.h"
#include "tunnel/handover.h"
#include "tunnel/options.h"
#include "wg/cookie.h"
#include "wg/device.h"
#include "wg/drop.h"
#include "wg/handover.h"
#include "wg/index.h"
#include "wg/messages.h"
#include "wg/peer.h"
#include "wg/tap.h"
#include "wg/timers.h"

#define PUBLIC true
#define INTERNAL false

/*
 * One row per type, by name: tag, list, whether tests/enum.lock holds its members fast, and of what
 * kind it is.
 */
#define TYPES(X)                                                                                   \
	X(aead_backend, AEAD_BACKEND_LIST, PUBLIC, ENUM)                                                 \
	X(capture_kind, CAPTURE_KIND_LIST, PUBLIC, ENUM)                                                 \
	X(capture_want, CAPTURE_WANT_LIST, PUBLIC, FLAGS)                                                \
	X(conf_left, CONF_LEFT_LIST, PUBLIC, FLAGS)                                                      \
	X(cookie_verdict, COOKIE_VERDICT_LIST, PUBLIC, ENUM)                                             \
	X(ctl_item, CTL_ITEM_LIST, PUBLIC, ENUM)                                                         \
	X(ctl_kind, CTL_KIND_LIST, PUBLIC, ENUM)                                                         \
	X(ctl_message, CTL_MESSAGE_LIST, PUBLIC, ENUM)                                                   \
	X(dialect, DIALECT_LIST, PUBLIC, ENUM)                                                          \
	X(engine, ENGINE_LIST, PUBLIC, ENUM)                                                            \
	X(fast_path, FAST_PATH_LIST, PUBLIC, FLAGS)                                                      \
	X(fast_path_why, FAST_PATH_WHY_LIST, PUBLIC, ENUM)                                               \
	X(flags_boundary, FLAGS_BOUNDARY_LIST, INTERNAL, ENUM)                                           \
	X(gateway, GATEWAY_LIST, PUBLIC, ENUM)                                                           \
	X(gateway_kind, GATEWAY_KIND_LIST, PUBLIC, ENUM)                                                \
	X(given_state, GIVEN_STATE_LIST, PUBLIC, ENUM)                                                  \
	X(handover_item, HANDOVER_ITEM_LIST, PUBLIC, ENUM)                                               \
	X(handover_message, HANDOVER_MESSAGE_LIST, PUBLIC, ENUM)                                         \
	X(handover_role, HANDOVER_ROLE_LIST, PUBLIC, ENUM)                                               \
	X(icmp_says, ICMP_SAYS_LIST, PUBLIC, ENUM)                                                       \
	X(index_type, INDEX_TYPE_LIST, INTERNAL, ENUM)                                                   \
	X(log_level, LOG_LEVEL_LIST, PUBLIC, ENUM)                                                       \
	X(member_kind, MEMBER_KIND_LIST, PUBLIC, ENUM)                                                  \
	X(options_action, OPTIONS_ACTION_LIST, INTERNAL, ENUM)                                           \
	X(peer_signal, PEER_SIGNAL_LIST, INTERNAL, FLAGS)                                                 \
	X(peer_state, PEER_STATE_LIST, PUBLIC, ENUM)                                              \
	X(peer_timer, PEER_TIMER_LIST, INTERNAL, ENUM)                                                   \
	X(plan_out, PLAN_OUT_LIST, PUBLIC, ENUM)                                                        \
	X(return_mode, RETURN_MODE_LIST, PUBLIC, ENUM)                                                  \
	X(value_kind, VALUE_KIND_LIST, INTERNAL, ENUM)                                                   \
	X(wg_drop, WG_DROP_LIST, PUBLIC, ENUM)                                                           \
	X(wg_event, WG_EVENT_LIST, PUBLIC, ENUM)                                                         \
	X(wg_handover_item, WG_HANDOVER_ITEM_LIST, PUBLIC, ENUM)                                         \
	X(wg_handover_part, WG_HANDOVER_PART_LIST, PUBLIC, FLAGS)                                        \
	X(wg_handover_slot, WG_HANDOVER_SLOT_LIST, PUBLIC, ENUM)                                         \
	X(wg_message, WG_MESSAGE_LIST, PUBLIC, ENUM)                                                     \
	X(wg_tap_point, WG_TAP_POINT_LIST, PUBLIC, ENUM)

#define DEFINE_(tag, LIST, is_public, KIND)                                                              \
	KIND##_DEFINE_AS(static const struct enum_type type_##tag, tag, LIST);
#define ROW_(tag, LIST, is_public, KIND) {&type_##tag, is_public},

TYPES(DEFINE_)

const struct cli_type cli_types[] = {TYPES(ROW_)};
const size_t cli_n_types = array_size(cli_types);
