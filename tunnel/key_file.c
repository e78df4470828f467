#include "tunnel/key_file.h"

#include "base/log.h"

#include <errno.h>

void key_file_open(struct key_file *k, const char *path)
{
	cleanup(buf_done) struct buf why = buf_of_max(1024);

	*k = (struct key_file){.log = KEY_LOG_NONE, .path = path};
	if (!*path)
		return;
	if (key_log_open(path, true, &k->log, &why) < 0)
		log_error("keylog: %s; going on without", buf_str(&why));
	else
		log_error("keylog: keys of the tunnel are written to %s: who reads it can read what goes "
			  "through the tunnel, and speak as this end", path);
}

void key_file_close(struct key_file *k)
{
	key_log_close(&k->log);
}

static void put(struct key_file *k, const struct key_log_keys *keys)
{
	int r = key_log_write(&k->log, keys);

	if (r < 0 && !k->failed)
		log_error("keylog: keys are missing in %s: %s", k->path,
			r == -EAGAIN ? "nobody reads the pipe" : strerror(-r));
	k->failed |= r < 0;
}

void key_file_identity(struct key_file *k)
{
	uint8_t private[WG_KEY_LEN];

	if (k->log.fd >= 0 && wg_device_private_key(k->device, private))
		put(k, &(struct key_log_keys){.local_static = private});
	explicit_bzero(private, sizeof(private));
}

static void event(void *arg, const struct wg_tap_event *e)
{
	struct key_file *k = arg;

	k->next->event(k->next->arg, e);
	if (e->event == WG_EVENT_PRIVATE_KEY_SET)
		key_file_identity(k);
}

static void keys(void *arg, const struct wg_tap_keys *keys)
{
	put(arg, &(struct key_log_keys){.local_static = keys->local_static,
			 .local_ephemeral = keys->ephemeral,
			 .remote_static = wg_peer_public_key(keys->peer),
			 .preshared = keys->preshared});
}

const struct wg_tap *key_file_tap(
	struct key_file *k, struct wg_device *device, const struct wg_tap *next)
{
	if (k->log.fd < 0)
		return next;
	k->device = device;
	k->next = next;
	k->tap = (struct wg_tap){.event = event, .keys = keys, .arg = k};
	return &k->tap;
}
