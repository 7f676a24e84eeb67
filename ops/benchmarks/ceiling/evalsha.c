#include "ceiling.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <time.h>

enum { longest_call = 64, digest_length = 40 };

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int receive(redisContext *redis, long long expected) {
  redisReply *reply = NULL;
  if (redisGetReply(redis, (void **)&reply) != REDIS_OK || reply == NULL) return 0;
  int is_expected = reply->type == REDIS_REPLY_INTEGER && reply->integer == expected;
  freeReplyObject(reply);
  return is_expected;
}

static double run(redisContext *redis, const char **words, int count, int calls, int depth) {
  double began = seconds();
  int sent = 0;
  for (int received = 0; received < calls; received++) {
    for (; sent < calls && sent < received + depth; sent++)
      if (redisAppendCommandArgv(redis, count, words, NULL) != REDIS_OK) return -1;
    if (!receive(redis, 1)) return -1;
  }
  return seconds() - began;
}

double ceiling_evalsha(int port, int keys, int calls, int depth) {
  if (keys < 0 || keys + 3 > longest_call || calls < 1 || depth < 1) return -1;
  redisContext *redis = redisConnect("127.0.0.1", port);
  if (redis == NULL) return -1;
  double result = -1;
  redisReply *loaded = redis->err ? NULL : redisCommand(redis, "SCRIPT LOAD %s", "return 1");
  if (loaded != NULL && loaded->type == REDIS_REPLY_STRING && loaded->len == digest_length) {
    char count[16], names[longest_call][32];
    const char *words[longest_call] = {"EVALSHA", loaded->str, count};
    snprintf(count, sizeof count, "%d", keys);
    for (int key = 0; key < keys; key++) {
      snprintf(names[key], sizeof names[key], "{ceiling:0}:key:%d", key);
      words[3 + key] = names[key];
    }
    result = run(redis, words, 3 + keys, calls, depth);
  }
  if (loaded != NULL) freeReplyObject(loaded);
  redisFree(redis);
  return result;
}
