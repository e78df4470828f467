/*
 * tunnel/events.h - what the engine reports, as lines of the log.
 */
#pragma once

#include "wg/tap.h"

/* A tap that writes events to the log when it shows them; costs packets nothing. */
extern const struct wg_tap events_tap;
