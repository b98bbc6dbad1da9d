/*
 * What a message costs the rank that receives it and the rank that sends it, with the
 * calls that the farm makes (farm_mpi.c): farm_scale takes its figure from here.
 *
 *     mpirun -n 2 message_bench [MESSAGES [BYTES]]      default 200000 of 544 bytes
 *
 * Rank 1 sends in windows; each end takes the processor time of its own calls, naps and
 * waiting left out.
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WINDOW = 64, TAG = 7, MAX_BYTES = 12288 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds in which messages left; between windows the receiver says that it is done. */
static double send_all(int count, int bytes)
{
    static unsigned char message[WINDOW][MAX_BYTES];
    MPI_Request requests[WINDOW];
    double spent_s = 0;
    for (int sent = 0; sent < count; sent += WINDOW) {
        const double start_s = now_s();
        for (int i = 0; i < WINDOW; i++)
            MPI_Isend(message[i], bytes, MPI_BYTE, 0, TAG, MPI_COMM_WORLD,
                      &requests[i]);
        MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
        spent_s += now_s() - start_s;
        MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    return spent_s;
}

/* Seconds from the first message of a window on; they are there, or about to be. */
static double receive_all(int count)
{
    static unsigned char message[MAX_BYTES];
    double spent_s = 0;
    for (int received = 0; received < count; received += WINDOW) {
        double start_s = 0;
        for (int i = 0; i < WINDOW;) {
            MPI_Status status;
            int there = 0;
            MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &status);
            if (!there)
                continue;
            start_s = i == 0 ? now_s() : start_s;
            MPI_Recv(message, MAX_BYTES, MPI_BYTE, status.MPI_SOURCE, TAG,
                     MPI_COMM_WORLD, &status);
            i++;
        }
        spent_s += now_s() - start_s;
        MPI_Send(NULL, 0, MPI_BYTE, 1, TAG, MPI_COMM_WORLD);
    }
    return spent_s;
}

int main(int argc, char **argv)
{
    int ranks = 0, rank = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const int count = argc > 1 ? atoi(argv[1]) : 200000;
    const int bytes = argc > 2 ? atoi(argv[2]) : 544;
    const bool usable =
        ranks == 2 && count >= WINDOW && bytes >= 0 && bytes <= MAX_BYTES;
    if (usable) {
        const int whole = count / WINDOW * WINDOW;
        const double spent_s = rank == 0 ? receive_all(whole) : send_all(whole, bytes);
        printf("%s: %.2f us a message of %d bytes\n", rank == 0 ? "receive" : "send",
               1e6 * spent_s / whole, bytes);
    } else if (rank == 0) {
        fprintf(stderr,
                "message_bench: usage: mpirun -n 2 message_bench [MESSAGES "
                "[BYTES]], at least %d of at most %d\n",
                WINDOW, MAX_BYTES);
    }
    MPI_Finalize();
    return usable ? 0 : 1;
}
