#include "farm/farm_link.h"

#include <mpi.h>

#include <stdlib.h>
#include <string.h>

/* The farm's link over MPI. All calls return at once: Open MPI's blocking calls spin.
 */

enum { FARM_TAG = 7, OUT_CHUNK = 16 };

/* Messages under way; a chunk never moves, MPI reads from it. */
struct out_chunk {
    struct out_chunk *next;
    MPI_Request requests[OUT_CHUNK];
    struct farm_message messages[OUT_CHUNK];
};

struct mpi_link {
    struct out_chunk *chunks;
};

static int fail_mpi(struct vidur_error *err, const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return vidur_fail(err, VIDUR_EIO, "MPI: %s: %s", what, text);
}

static bool is_free(MPI_Request *request)
{
    int done = 1;
    if (*request != MPI_REQUEST_NULL)
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
    return done;
}

static struct out_chunk *add_chunk(struct mpi_link *link)
{
    struct out_chunk *chunk = malloc(sizeof *chunk);
    if (!chunk)
        return NULL;
    for (int i = 0; i < OUT_CHUNK; i++)
        chunk->requests[i] = MPI_REQUEST_NULL;
    chunk->next = link->chunks;
    return link->chunks = chunk;
}

static int send_message(void *self, int to, const struct farm_message *message,
                        struct vidur_error *err)
{
    struct mpi_link *link = self;
    struct out_chunk *chunk = link->chunks;
    int slot = OUT_CHUNK;
    for (; chunk; chunk = chunk->next) {
        for (slot = 0; slot < OUT_CHUNK; slot++)
            if (is_free(&chunk->requests[slot]))
                break;
        if (slot < OUT_CHUNK)
            break;
    }
    if (!chunk) {
        slot = 0;
        chunk = add_chunk(link);
        if (!chunk)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a message");
    }
    const size_t bytes = farm_message_bytes(message);
    memcpy(&chunk->messages[slot], message, bytes);
    const int code = MPI_Isend(&chunk->messages[slot], (int)bytes, MPI_BYTE, to,
                               FARM_TAG, MPI_COMM_WORLD, &chunk->requests[slot]);
    return code == MPI_SUCCESS ? 0 : fail_mpi(err, "sending", code);
}

static int receive_message(void *self, struct farm_message *message, int *from,
                           struct vidur_error *err)
{
    MPI_Status status;
    int there = 0;
    (void)self;
    int code = MPI_Iprobe(MPI_ANY_SOURCE, FARM_TAG, MPI_COMM_WORLD, &there, &status);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, "looking for messages", code);
    if (!there)
        return 0;
    *from = status.MPI_SOURCE;
    code = MPI_Recv(message, (int)sizeof *message, MPI_BYTE, *from, FARM_TAG,
                    MPI_COMM_WORLD, &status);
    return code == MPI_SUCCESS ? 1 : fail_mpi(err, "receiving", code);
}

/* Waits until all messages have left, asleep between looks. */
static void drain(struct mpi_link *link)
{
    int naps = 0;
    for (struct out_chunk *chunk = link->chunks; chunk; chunk = chunk->next)
        for (int i = 0; i < OUT_CHUNK; i++)
            while (!is_free(&chunk->requests[i]))
                farm_nap(&naps);
}

/* A barrier that sleeps. */
static void meet(void)
{
    MPI_Request request;
    int done = 0, naps = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (!done) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (!done)
            farm_nap(&naps);
    }
}

static void free_chunks(struct mpi_link *link)
{
    while (link->chunks) {
        struct out_chunk *chunk = link->chunks;
        link->chunks = chunk->next;
        free(chunk);
    }
}

int vidur_farm_run_mpi(const struct vidur_farm *farm, struct vidur_farm_stats *stats,
                       struct vidur_error *err)
{
    struct mpi_link mpi = {NULL};
    struct farm_link link = {
        .self = &mpi, .send = send_message, .receive = receive_message};
    struct vidur_farm_stats own_stats = {0};
    struct vidur_error own_error = {0};
    stats = stats ? stats : &own_stats;
    err = err ? err : &own_error;
    MPI_Comm_rank(MPI_COMM_WORLD, &link.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &link.ranks);
    if (link.ranks == 1)
        return vidur_farm_run_serial(farm, stats, err);
    memset(stats, 0, sizeof *stats);
    const int rc = link.rank == 0 ? farm_lead(farm, &link, stats, err)
                                  : farm_work(farm, &link, err);
    /* Where a rank is left behind or a link broke, nobody waits for anybody. */
    if (!stats->abandoned && (rc == 0 || err->code == VIDUR_EINTR)) {
        drain(&mpi);
        meet();
        free_chunks(&mpi);
    }
    return rc;
}
