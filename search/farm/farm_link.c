#include "farm/farm_link.h"

#include <string.h>
#include <time.h>

double farm_stop_patience_s(const struct vidur_farm *farm)
{
    static const double usual_s = 0.6;
    return farm->stop_patience_s > 0 ? farm->stop_patience_s : usual_s;
}

size_t farm_message_bytes(const struct farm_message *message)
{
    return offsetof(struct farm_message, body) + (size_t)message->body_bytes;
}

static size_t padded(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

bool farm_results_add(struct farm_message *message, const struct farm_result_head *head,
                      const void *result)
{
    const size_t at = (size_t)message->body_bytes;
    const size_t end = at + sizeof *head + padded(head->bytes);
    if (end > sizeof message->body)
        return false;
    memcpy(message->body + at, head, sizeof *head);
    memcpy(message->body + at + sizeof *head, result, head->bytes);
    message->body_bytes = end;
    message->count++;
    return true;
}

const void *farm_results_next(const struct farm_message *message, size_t *offset,
                              struct farm_result_head *head)
{
    const size_t left = (size_t)message->body_bytes - *offset;
    const unsigned char *at = message->body + *offset;
    if (*offset >= message->body_bytes || left < sizeof *head)
        return NULL;
    memcpy(head, at, sizeof *head);
    if (head->bytes > left - sizeof *head)
        return NULL;
    *offset += sizeof *head + padded(head->bytes);
    return at + sizeof *head;
}

void farm_nap(int *naps)
{
    const long us = *naps < 6 ? 20L << *naps : 1000L;
    const struct timespec time = {.tv_nsec = us * 1000L};
    if (*naps < 6)
        ++*naps;
    nanosleep(&time, NULL);
}
