using System.Collections.Concurrent;

namespace Increment.AuthService.Tokens;

/// <summary>
/// When tokens were last used, gathered here and written by <see cref="Housekeeping"/>, so that a check of a token costs
/// no write. A crash loses the last moments of it.
/// </summary>
sealed class TokenUses
{
    static readonly TimeSpan Resolution = TimeSpan.FromMinutes(1);
    const int MaxPending = 100_000;

    readonly ConcurrentDictionary<string, DateTimeOffset> pending = new(StringComparer.Ordinal);

    /// <summary>Notes a use, if it is a minute later than what is known.</summary>
    public void Note(Token token, DateTimeOffset now)
    {
        // Count takes every lock there is; only a token that is not noted yet comes to it.
        if (!(now - token.LastUsedAt < Resolution) && !pending.ContainsKey(token.Hash) && pending.Count < MaxPending)
            pending.TryAdd(token.Hash, now);
    }

    /// <summary>Takes out what has been gathered.</summary>
    public IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> TakeAll()
    {
        var taken = pending.ToArray();
        foreach (var use in taken)
            pending.TryRemove(use);
        return taken;
    }
}
