#!/bin/sh
# Starts Redis with a user for each service, with rights to the commands, keys and channels that the service uses:
#   sh redis.sh [OPTION OF redis-server]...
# The passwords are in the environment. The server reads them from its standard input, since anybody may read its arguments.
# The operator is the user "default", with all rights.
set -eu

# What StackExchange.Redis asks when it connects, but for CLUSTER, which no Redis of ours is, and CONFIG GET, which shows the
# operator's password: it does without these answers.
connection='+@connection -client|tracking -@admin -@dangerous +info (%R~__Booksleeve_TieBreak +get) (&__Booksleeve_MasterChanged +subscribe)'
revocations='&token-revoked +subscribe +unsubscribe'
# Counts against limits, as RedisRateLimiting names them, by scripts; what a script calls needs the right too.
limits='(~rl:* +eval +evalsha +script|load +get +set +incrby +expireat +pexpire +pexpireat +pttl)'

exec redis-server - "$@" <<END
requirepass $REDIS_PASSWORD
user auth on >$CACHE_AUTH_PASSWORD $connection $revocations +publish %W~token:* +set +setex +psetex $limits
user jobs on >$CACHE_JOBS_PASSWORD $connection $revocations ~token:* +get +pttl +set +eval +evalsha +script|load $limits
user counter on >$CACHE_COUNTER_PASSWORD $connection $revocations ~token:* +get +pttl +set +eval +evalsha +script|load $limits
END
