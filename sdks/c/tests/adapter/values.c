/* JSON to C and back. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

const char *text_of(const struct request *request, const char *name)
{
    return json_string_value(json_object_get(request->arguments, name));
}

bool flag_of(const struct request *request, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(request->arguments, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

json_int_t number_of(const struct request *request, const char *name, json_int_t otherwise)
{
    const json_t *value = json_object_get(request->arguments, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* A platform may be its text or its object. To be freed; NULL if there is none. */
char *platform_of(const struct request *request)
{
    const json_t *value = json_object_get(request->arguments, "platform");
    char text[256];
    const char *os, *architecture, *variant;

    if (json_is_string(value)) {
        return strdup(json_string_value(value));
    }
    if (!json_is_object(value)) {
        return NULL;
    }
    os = json_string_value(json_object_get(value, "os"));
    architecture = json_string_value(json_object_get(value, "architecture"));
    variant = json_string_value(json_object_get(value, "variant"));
    snprintf(text, sizeof text, "%s/%s%s%s", os ? os : "", architecture ? architecture : "", variant ? "/" : "",
             variant ? variant : "");
    return strdup(text);
}

/* An argument as JSON text, to be freed; NULL if it is not there. */
char *json_of(const struct request *request, const char *name)
{
    const json_t *value = json_object_get(request->arguments, name);
    return value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY);
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 (RFC 4648, section 4) to bytes, to be freed. */
unsigned char *decode(const char *text, size_t *length)
{
    unsigned char *bytes = malloc(strlen(text) / 4 * 3 + 3);
    unsigned long bits = 0;
    int held = 0;

    for (*length = 0; *text != 0 && *text != '='; text++) {
        const char *digit = strchr(alphabet, *text);
        if (digit == NULL) {
            continue;
        }
        bits = (bits << 6 | (unsigned long)(digit - alphabet)) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[(*length)++] = (unsigned char)(bits >> held & 0xff);
        }
    }
    return bytes;
}

/* Bytes to Base64. */
json_t *encode(const unsigned char *bytes, size_t length)
{
    char *text = malloc(length / 3 * 4 + 5);
    char *end = text;
    size_t at;
    json_t *value;

    for (at = 0; at < length; at += 3) {
        size_t left = length - at;
        unsigned long bits = (unsigned long)bytes[at] << 16;
        bits |= left > 1 ? (unsigned long)bytes[at + 1] << 8 : 0;
        bits |= left > 2 ? bytes[at + 2] : 0;
        *end++ = alphabet[bits >> 18];
        *end++ = alphabet[bits >> 12 & 63];
        *end++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *end++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    value = json_stringn(text, (size_t)(end - text));
    free(text);
    return value;
}

/* An error as its JSON object; frees it. */
json_t *error_object(boxlite_error *error)
{
    const char *text = boxlite_error_json(error);
    json_t *value = text == NULL ? NULL : json_loads(text, 0, NULL);
    boxlite_error_free(error);
    return value != NULL ? value : json_pack("{s:s, s:s}", "code", "Internal", "message", "an error without JSON");
}
