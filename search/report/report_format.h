#ifndef VIDUR_SEARCH_REPORT_FORMAT_H
#define VIDUR_SEARCH_REPORT_FORMAT_H

#include "report/report_model.h"

#include <stdio.h>

/*
 * How reports write values, the same in every format. search/report/report.js follows
 * the same rules; a test compares them. Pure functions but for the table's stream.
 */

/* Of a table: its columns, and the size of a cell with its end. */
enum { VIDUR_TABLE_MAX_COLUMNS = 24, VIDUR_TABLE_CELL = 512 };

struct vidur_number {
    char text[64];
};

/* Three significant digits without an exponent (0.00456, 12.3, 4567; with one below
 * 0.0001 and from 1e15 on), "0", or "-" where the value is not known. Ties go away from
 * zero. */
struct vidur_number vidur_number3(double value);
struct vidur_number vidur_number_usd(double value); /* two decimals: 1234.50 */
struct vidur_number vidur_number_int(int64_t value);
/* Seconds with their unit: "1.92 s", "102 ms" below 1 s. */
struct vidur_number vidur_number_time(double value_s);
/* An ok row's quantile; "not recorded" where its file is too old to have it. */
struct vidur_number vidur_number_latency(const struct vidur_ranking_row *row,
                                         const struct vidur_report_slo *slo);
/* The value in tables, where "-" is enough; a joint SLO's is a share of its limits. */
struct vidur_number vidur_number_slo(const struct vidur_ranking_row *row,
                                     const struct vidur_report_slo *slo);
/* "2 s", of a joint SLO "ttft 1 s, tpot 0.04 s". */
struct vidur_number vidur_number_limit(const struct vidur_report_slo *slo);
struct vidur_number vidur_number_percent(double value); /* "12.3 %" */
/* What a row serves at most: "30.2", "30.2 (28.9 to 31.0)" where its search was
 * replicated, ">= 30.2" (as one sign) where no load failed; with a "*" where it saw a
 * burst. */
struct vidur_number vidur_number_qps(const struct vidur_ranking_row *row);
/* "+12.3 %", "0 %" below 0.05 %, for a factor of 1.123. */
struct vidur_number vidur_number_change(double factor);

/* "sarathi chunk_size=512", with what is not bf16 and a router that does not take the
 * replicas in turn: "vllm_v1, fp8, KV cache fp8, router=prefix" */
void vidur_format_scheduler(const struct vidur_ranking_row *row, char *text,
                            size_t size);
/* What the schedulers of some rows, as vidur_format_scheduler writes them, have in
 * common: the words that all begin with and the parts, after commas, that all end with.
 */
struct vidur_shared_scheduler {
    char text[VIDUR_TABLE_CELL]; /* "..., fp8"; "" where there is nothing */
    size_t head, tail;           /* bytes of it at either end */
    bool all;                    /* the schedulers are the same */
};
/* Of `count` rows from `rows` on; of fewer than two nothing is shared. */
void vidur_share_scheduler(const struct vidur_ranking_row *rows, int64_t count,
                           struct vidur_shared_scheduler *shared);
/* What is a row's own: "max_num_batched_tokens=2048". */
void vidur_format_own_scheduler(const struct vidur_ranking_row *row,
                                const struct vidur_shared_scheduler *shared, char *text,
                                size_t size);

/* "8", "8 EP" with expert parallelism */
struct vidur_number vidur_number_tp(const struct vidur_ranking_row *row);
/* "16 x h100 (h100_dgx): 4 replicas of TP 4 x PP 1" */
void vidur_format_hardware(const struct vidur_ranking_row *row, char *text,
                           size_t size);
/* "sarathi chunk_size=512, batch size 128" */
void vidur_format_engine(const struct vidur_ranking_row *row, char *text, size_t size);
/* One line: "4 x TP4 PP1 on h100_dgx, sarathi chunk_size=512, batch 128" */
void vidur_format_configuration(const struct vidur_ranking_row *row, char *text,
                                size_t size);
/* "ttft_p90" -> "TTFT P90", "tpot_p99.9" -> "TPOT P99.9"; unknown names stay. */
/* "rag: 102 requests, TTFT P95 664 ms, TPOT P95 41 ms, goodput 1.2/s": a class of the
 * model's; "" where the row's workload does not have it. */
void vidur_format_class(const struct vidur_report_model *model,
                        const struct vidur_ranking_row *row, int class, char *text,
                        size_t size);
void vidur_format_slo_name(const struct vidur_report_slo *slo, char *text, size_t size);
/* The same for the header of a narrow column: "delay P99", "E2E/tok P75". */
void vidur_format_slo_header(const struct vidur_report_slo *slo, char *text,
                             size_t size);
/* "84 candidates: 61 ok, 12 too large for memory, 3 failed" */
void vidur_format_counts(const struct vidur_report_group *group, char *text,
                         size_t size);

/* Text in Markdown: no tag, no end of a table's cell, no control character. */
void vidur_put_markdown(FILE *out, const char *text);

/*
 * A table of short texts, printed once all cells are known: aligned for terminals, or
 * as Markdown. A cell longer than the struct's ends with "...".
 */
struct vidur_text_table {
    int num_columns, num_rows, capacity;
    bool numeric[VIDUR_TABLE_MAX_COLUMNS]; /* aligned to the right */
    char (*cells)[VIDUR_TABLE_CELL];       /* row 0 is the header */
    int next;                              /* column of the next cell */
    bool failed;                           /* out of memory */
};

/* `headers` ends with NULL; those that begin with '#' are numeric (the '#' is left
 * out). */
void vidur_table_start(struct vidur_text_table *table, const char *const *headers);
void vidur_table_cell(struct vidur_text_table *table, const char *text);
void vidur_table_number(struct vidur_text_table *table, struct vidur_number number);
int vidur_table_print(const struct vidur_text_table *table, FILE *out, bool markdown,
                      const char *indent, struct vidur_error *err);
void vidur_table_release(struct vidur_text_table *table);

#endif
