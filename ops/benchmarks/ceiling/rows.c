#include "ceiling.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int succeeded(PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  PQclear(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

// `{first,first+1,…}` and `{text,text,…}`: what a client sends for unnest. The two buffers hold a batch each.
static void fill(char *numbers, char *texts, const char *text, int first, int count) {
  char *number = numbers, *place = texts;
  for (int index = 0; index < count; index++) {
    number += sprintf(number, "%c%d", index == 0 ? '{' : ',', first + index);
    place += sprintf(place, "%c%s", index == 0 ? '{' : ',', text);
  }
  strcpy(number, "}");
  strcpy(place, "}");
}

// Runs the prepared statement `name` over all rows, `batch` to a call; each call commits.
static double run(PGconn *postgres, const char *name, const char *text, int rows, int batch) {
  size_t room = (size_t)batch * (strlen(text) + 12) + 2;
  char *numbers = malloc(room), *texts = malloc(room);
  int is_fine = numbers != NULL && texts != NULL;
  double began = seconds();
  for (int first = 1; is_fine && first <= rows; first += batch) {
    fill(numbers, texts, text, first, first + batch > rows + 1 ? rows + 1 - first : batch);
    const char *values[] = {numbers, texts};
    is_fine = succeeded(PQexecPrepared(postgres, name, 2, values, NULL, NULL, 0));
  }
  double spent = seconds() - began;
  free(numbers);
  free(texts);
  return is_fine ? spent : -1;
}

static int prepare(PGconn *postgres) {
  return succeeded(PQexec(postgres,
           "create table bench_ceiling (id bigint primary key, "
           "state text not null default 'available', payload text, result text, at timestamptz default now())")) &&
         succeeded(PQprepare(postgres, "insert",
           "insert into bench_ceiling (id, payload) select * from unnest($1::bigint[], $2::text[])", 0, NULL)) &&
         succeeded(PQprepare(postgres, "update",
           "update bench_ceiling b set state = 'completed', result = r.result, at = now() "
           "from unnest($1::bigint[], $2::text[]) as r (id, result) where b.id = r.id", 0, NULL));
}

struct ceiling_rows ceiling_rows(const char *conninfo, int rows, int batch, int update_batch, int width) {
  struct ceiling_rows result = {-1, -1};
  char *text = malloc((size_t)width + 1);
  if (text == NULL) return result;
  memset(text, 'x', (size_t)width);
  text[width] = 0;
  PGconn *postgres = PQconnectdb(conninfo);
  if (PQstatus(postgres) == CONNECTION_OK && prepare(postgres)) {
    result.insert_seconds = run(postgres, "insert", text, rows, batch);
    result.update_seconds = run(postgres, "update", text, rows, update_batch);
    succeeded(PQexec(postgres, "drop table bench_ceiling"));
  }
  PQfinish(postgres);
  free(text);
  return result;
}
