/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, by the second version of the protocol. */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

static struct served_reply *reply_new(char type)
{
    struct served_reply *reply = calloc(1, sizeof *reply);
    FH_ASSERT(reply != NULL);
    reply->type = type;
    return reply;
}

struct served_reply *served_string_of(const char *data, size_t length)
{
    struct served_reply *reply = reply_new('$');
    reply->text = malloc(length + 1);
    FH_ASSERT(reply->text != NULL);
    memcpy(reply->text, data, length);
    reply->text[length] = '\0';
    reply->length = length;
    return reply;
}

struct served_reply *served_string(const char *text)
{
    return text ? served_string_of(text, strlen(text)) : reply_new('_');
}

struct served_reply *served_status(const char *text)
{
    struct served_reply *reply = served_string(text);
    reply->type = '+';
    return reply;
}

struct served_reply *served_error(const char *text)
{
    struct served_reply *reply = served_string(text);
    reply->type = '-';
    return reply;
}

struct served_reply *served_wrong_kind(void)
{
    return served_error("WRONGTYPE Operation against a key holding the wrong kind of value");
}

struct served_reply *served_integer(int64_t number)
{
    struct served_reply *reply = reply_new(':');
    reply->number = number;
    return reply;
}

struct served_reply *served_list(void)
{
    return reply_new('*');
}

void served_list_add(struct served_reply *list, struct served_reply *part)
{
    if ((list->count & (list->count - 1)) == 0) { /* a power of two is full */
        size_t room = list->count ? (size_t)list->count * 2 : 1;
        list->parts = realloc((void *)list->parts, room * sizeof(struct served_reply *));
        FH_ASSERT(list->parts != NULL);
    }
    list->parts[list->count++] = part;
}

void served_reply_free(struct served_reply *reply)
{
    if (!reply)
        return;
    for (int i = 0; i < reply->count; i++)
        served_reply_free(reply->parts[i]);
    free((void *)reply->parts);
    free(reply->text);
    free(reply);
}

void served_reply_write(struct text *text, const struct served_reply *reply)
{
    switch (reply->type) {
    case '+':
    case '-':
        text_printf(text, "%c%s\r\n", reply->type, reply->text);
        break;
    case ':':
        text_printf(text, ":%lld\r\n", (long long)reply->number);
        break;
    case '$':
        text_printf(text, "$%zu\r\n", reply->length);
        text_append(text, reply->text, reply->length);
        text_append(text, "\r\n", 2);
        break;
    case '*':
        text_printf(text, "*%d\r\n", reply->count);
        for (int i = 0; i < reply->count; i++)
            served_reply_write(text, reply->parts[i]);
        break;
    default:
        text_add(text, "$-1\r\n");
    }
}
