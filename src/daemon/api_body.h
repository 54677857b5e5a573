/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api_routes.h"
#include "wire_field.h"

/* The JSON body of a POST. It is hostile: bounded by API_BODY_MAX before it is read, nested no deeper than any message of
 * ours, and a member that is not known is an error, since a mistyped one would silently do nothing. */

/* Reads the members in the table into the object; missing ones become unknown (wire_field.h). `more` names one member
 * beside the table that the caller reads by itself (NULL: none). False: ret is a 400 that says what is wrong. */
bool api_body_read(const struct api_request *rq, const struct wire_field *fields, size_t n, const char *more, void *object,
                   struct api_reply *ret);

/* Parses a body; an empty one is {}. The object is the caller's (json_object_put()). NULL: ret is a 400. */
struct json_object *api_body_parse(const char *data, size_t length, struct api_reply *ret);
