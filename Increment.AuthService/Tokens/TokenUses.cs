using System.Collections.Concurrent;

namespace Increment.AuthService.Tokens;

/// <summary>
/// Collects the times when tokens were last used. <see cref="Housekeeping"/> saves these times later, so that the check of a
/// token needs no write. A crash loses the times that are not saved yet.
/// </summary>
sealed class TokenUses
{
    static readonly TimeSpan Resolution = TimeSpan.FromMinutes(1);
    const int MaxPending = 100_000;

    readonly ConcurrentDictionary<string, DateTimeOffset> pending = new(StringComparer.Ordinal);

    /// <summary>Records a use that is at least a minute later than the last saved use.</summary>
    public void Note(Token token, DateTimeOffset now)
    {
        // Count takes all locks of the dictionary, so it is read only for a token that has no entry yet.
        if (!(now - token.LastUsedAt < Resolution) && !pending.ContainsKey(token.Hash) && pending.Count < MaxPending)
            pending.TryAdd(token.Hash, now);
    }

    /// <summary>Removes and returns all recorded uses.</summary>
    public IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> TakeAll()
    {
        var taken = pending.ToArray();
        foreach (var use in taken)
            pending.TryRemove(use);
        return taken;
    }
}
