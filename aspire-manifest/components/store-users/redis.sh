#!/bin/sh
# Starts Redis with a user for each service, with rights to the commands, keys and channels that the service uses:
#   sh redis.sh [OPTION OF redis-server]...
# The passwords are in the environment. The server reads them from its standard input, because any user can read the arguments
# of a process.
# The operator is the user "default", with all rights.
set -eu

# The commands that StackExchange.Redis sends when it connects, except CLUSTER, because this Redis is not a cluster, and CONFIG GET,
# which shows the operator's password. The client works without these two.
connection='+@connection -client|tracking -@admin -@dangerous +info (%R~__Booksleeve_TieBreak +get) (&__Booksleeve_MasterChanged +subscribe)'
revocations='&token-revoked +subscribe +unsubscribe'
# The counts of rate limits. RedisRateLimiting names the keys, and changes them with scripts. The commands that a script calls
# need rights too.
limits='(~rl:* +eval +evalsha +script|load +get +set +incrby +expireat +pexpire +pexpireat +pttl)'

exec redis-server - "$@" <<END
requirepass $REDIS_PASSWORD
user auth on >$CACHE_AUTH_PASSWORD $connection $revocations +publish %W~token:* +set +setex +psetex $limits
user jobs on >$CACHE_JOBS_PASSWORD $connection $revocations ~token:* +get +pttl +set +eval +evalsha +script|load $limits
user counter on >$CACHE_COUNTER_PASSWORD $connection $revocations ~token:* +get +pttl +set +eval +evalsha +script|load $limits
END
