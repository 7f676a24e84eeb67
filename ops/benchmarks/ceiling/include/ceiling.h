#pragma once

/// What the engines give a C client that does nothing else: the ceilings beside the figures of `ops/bench`.

/// Seconds that `calls` EVALSHA calls of a script that only returns 1 take on 127.0.0.1:`port`, each with `keys` keys,
/// `depth` of them on their way at any time. Negative if Redis does not do as asked.
double ceiling_evalsha(int port, int keys, int calls, int depth);

/// Seconds for `rows` rows with `width` bytes of text inserted `batch` to a statement and commit, and then for
/// completing each of them, `update_batch` to a statement and commit, with as many bytes of text again. The table is
/// made for it and dropped. Negative if PostgreSQL does not do as asked.
struct ceiling_rows {
  double insert_seconds;
  double update_seconds;
};
struct ceiling_rows ceiling_rows(const char *conninfo, int rows, int batch, int update_batch, int width);
