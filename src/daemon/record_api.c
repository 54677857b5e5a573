/* SPDX-License-Identifier: Apache-2.0 */
#include "record_api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "api_body.h"
#include "log.h"
#include "wire_record.h"

/* "3-4096": recording 3 from byte 4096 on; "3": the recording alone. */
static bool place_parse(const char *text, bool with_byte, uint64_t *ret_id, uint64_t *ret_from)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret_id = strtoull(text, &end, 10);
    *ret_from = 0;
    if (with_byte) {
        if (end[0] != '-' || end[1] < '0' || end[1] > '9')
            return false;
        *ret_from = strtoull(end + 1, &end, 10);
    }
    return !*end && errno == 0;
}

static void start(struct recorder *r, uint64_t now_usec, const struct api_request *rq, struct api_reply *ret)
{
    struct wire_record_piece piece = {0};
    struct err e = {0};
    int64_t id = recorder_start(r, rq->peer.uid, now_usec, (uint64_t)time(NULL), &e);

    if (id == -EBUSY) {
        api_reply_error(ret, 409, "wait until it ends: one that nobody fetches ends by itself after 10 s", "%s", e.text);
        return;
    }
    if (id < 0) {
        api_reply_error(ret, 503, "'ballast dump' shows the state there is now", "%s", e.text);
        return;
    }
    log_info("decisions are recorded for uid %u", (unsigned)rq->peer.uid);
    piece.recording = (uint64_t)id;
    wire_record_piece_print(&ret->body, &piece);
}

static void give(struct recorder *r, uint64_t now_usec, const struct api_request *rq, struct api_reply *ret)
{
    struct wire_record_piece piece = {0};
    struct wire_text bytes = {0};
    struct err e = {0};
    uint64_t from;

    if (!place_parse(rq->name, true, &piece.recording, &from)) {
        api_reply_error(ret, 400, "ask for NUMBER-BYTE, such as 3-4096", "that names no piece of a recording");
        return;
    }
    if (recorder_read(r, piece.recording, from, now_usec, &bytes, &piece.ended, &e) < 0) {
        api_reply_error(ret, e.code == ESRCH ? 404 : 416, "start another: ballast record", "%s", e.text);
        return;
    }
    piece.next = from + bytes.length;
    wire_record_piece_print(&ret->body, &piece);
    if (bytes.length)
        wire_text_add(&ret->body, bytes.data, bytes.length);
    ret->body.failed = ret->body.failed || bytes.failed;
    wire_text_done(&bytes);
}

static void stop(struct recorder *r, const struct api_request *rq, struct api_reply *ret)
{
    struct wire_record_piece piece = {0};

    if (!place_parse(rq->name, false, &piece.recording, &piece.next) || !recorder_has(r, piece.recording)) {
        api_reply_error(ret, 404, "it has ended by itself, or ballastd was restarted", "there is no such recording");
        return;
    }
    recorder_stop(r, "asked");
    wire_record_piece_print(&ret->body, &piece);
}

void record_request(struct recorder *r, enum api_operation what, uint64_t now_usec, const struct api_request *rq,
                    struct api_reply *ret)
{
    if (what == API_OPERATION_RECORD_READ) {
        give(r, now_usec, rq, ret);
        return;
    }
    if (!api_body_read(rq, NULL, 0, NULL, NULL, ret))
        return;
    if (what == API_OPERATION_RECORD)
        start(r, now_usec, rq, ret);
    else
        stop(r, rq, ret);
}
