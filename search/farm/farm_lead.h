#ifndef VIDUR_SEARCH_FARM_LEAD_H
#define VIDUR_SEARCH_FARM_LEAD_H

#include "farm/farm_board.h"
#include "farm/farm_link.h"
#include "farm/farm_path.h"

/*
 * Rank 0 of the parallel farm, in two parts: farm_lead.c hears what the workers say and
 * keeps the record; farm_deal.c decides who does what.
 */

/* What a worker holds: the whole of a path, or one step of it. */
struct farm_holding {
    int path;
    bool whole;
    uint64_t step;
};

struct farm_slot {
    struct farm_holding held[FARM_MAX_HELD]; /* the first is being worked on */
    int num_held;
    bool recalled;   /* has been asked to give back what it holds */
    bool recallable; /* is in the ring of ranks to recall from */
    bool idle;       /* in the leader's list of idle ranks */
    bool gone;       /* has said goodbye */
};

struct farm_leader {
    const struct vidur_farm *farm;
    const struct farm_link *link;
    struct farm_board board;
    struct farm_slot *slots;  /* by rank */
    struct farm_path **paths; /* jobs in flight; entries are reused */
    int num_paths, max_paths;
    int *free_paths; /* a stack of unused entries */
    int num_free;
    int *line; /* paths whose next step nobody runs, oldest first; a ring */
    int line_first, line_count;
    int *idle; /* ranks without work, a stack */
    int num_idle;
    int home;         /* the path rank 0 works on itself, or -1 */
    int ahead_cursor; /* where the search for a step to run ahead goes on */
    int *recallable;  /* ranks that may hold whole paths, oldest first; a ring */
    int recall_first, recall_count;
    bool changed;    /* something may be of interest to idle ranks */
    int64_t applied; /* results that paths asked for */
    bool dirty;      /* records since the last commit */
    struct vidur_farm_stats *stats;
    struct farm_message message;
    struct vidur_error *error;
};

/* The results that the path waits for, as far as they are known; -1: error. */
int farm_lead_apply(struct farm_leader *leader, int path);
/* Puts a path whose next step nobody runs into the line. */
void farm_lead_line_up(struct farm_leader *leader, int path);

/* Gives the rank what it can hold, or lists it as idle. */
int farm_deal(struct farm_leader *leader, int rank);
/* Feeds idle ranks while there is something for them. */
int farm_deal_idle(struct farm_leader *leader);
/* One step by rank 0 itself: 1 done, 0 nothing to do, -1 error. */
int farm_deal_self(struct farm_leader *leader, const struct vidur_farm_pulse *pulse);

#endif
