using System.Collections.Concurrent;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// A bounded table of answers by token. It evicts the oldest entry that was not used since its last check ("second
/// chance", also known as CLOCK). <see cref="Find"/> takes no lock and allocates nothing; callers of the other members
/// must hold a lock.
/// </summary>
sealed class TokenCacheTable
{
    readonly int capacity;
    readonly ConcurrentDictionary<string, Entry> byToken = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, Entry>.AlternateLookup<ReadOnlySpan<char>> lookup;
    readonly Dictionary<string, Entry> byHash = new(StringComparer.Ordinal);
    readonly Queue<Entry> queue = [];

    /// <param name="capacity">The maximum number of tokens.</param>
    public TokenCacheTable(int capacity)
    {
        this.capacity = capacity;
        lookup = byToken.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public TokenAnswer? Find(ReadOnlySpan<char> token)
    {
        if (!lookup.TryGetValue(token, out var entry))
            return null;
        if (!entry.Used)
            entry.Used = true;
        return entry.Answer;
    }

    public void Put(string token, string hash, TokenAnswer answer)
    {
        if (byHash.TryGetValue(hash, out var known))
        {
            known.Answer = answer;
            return;
        }
        var entry = new Entry(token, hash, answer);
        byToken[token] = byHash[hash] = entry;
        queue.Enqueue(entry);
        while (queue.Count > capacity)
        {
            var oldest = queue.Dequeue();
            if (!byHash.TryGetValue(oldest.Hash, out var current) || current != oldest)
                continue; // it was removed, and the token may have been added again
            if (!oldest.Used)
            {
                Remove(oldest.Hash);
                continue;
            }
            oldest.Used = false;
            queue.Enqueue(oldest);
        }
    }

    public void Remove(string hash)
    {
        if (byHash.Remove(hash, out var entry))
            byToken.TryRemove(entry.Token, out _);
    }

    public void RemoveUser(string userId)
    {
        foreach (var hash in byHash.Where(entry => entry.Value.Answer.Principal?.UserId == userId).Select(entry => entry.Key).ToList())
            Remove(hash);
    }

    public void Clear()
    {
        byToken.Clear();
        byHash.Clear();
        queue.Clear();
    }

    sealed class Entry(string token, string hash, TokenAnswer answer)
    {
        volatile TokenAnswer answer = answer;

        public string Token => token;
        public string Hash => hash;
        public bool Used { get; set; }

        public TokenAnswer Answer
        {
            get => answer;
            set => answer = value;
        }
    }
}

/// <summary>AuthService's answer for one token.</summary>
/// <param name="principal">Null: unknown, expired or revoked.</param>
/// <param name="refreshAt">The time from which it is renewed, as a timestamp of <see cref="TimeProvider"/>.</param>
/// <param name="freshUntil">The time until which it is valid without a new check, as such a timestamp too.</param>
sealed class TokenAnswer(Principal? principal, long refreshAt, long freshUntil)
{
    long refreshAt = refreshAt;

    public Principal? Principal => principal;
    public long FreshUntil => freshUntil;

    public bool IsDue(long now) => now >= Volatile.Read(ref refreshAt);

    /// <summary>
    /// True for only one caller, which must renew the answer. If it fails, another caller may try from <paramref
    /// name="retryAt"/> on.
    /// </summary>
    public bool ClaimRefresh(long now, long retryAt)
    {
        var due = Volatile.Read(ref refreshAt);
        return now >= due && Interlocked.CompareExchange(ref refreshAt, retryAt, due) == due;
    }
}
