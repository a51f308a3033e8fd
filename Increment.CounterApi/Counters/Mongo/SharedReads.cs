namespace Increment.CounterApi.Counters.Mongo;

/// <summary>
/// Reads values for many callers. Callers share a read if all of them called before it began, so for each caller the value is
/// as fresh as one from a read of its own. At most one read of a key runs at a time.
/// </summary>
/// <param name="read">Reads a value.</param>
sealed class SharedReads<TKey, TValue>(Func<TKey, Task<TValue>> read) where TKey : notnull
{
    readonly Lock gate = new();

    /// <summary>The keys that are being read, each with the callers of its next read; null for no callers.</summary>
    readonly Dictionary<TKey, TaskCompletionSource<TValue>?> running = [];

    /// <summary>The value of a read that began after this call.</summary>
    public Task<TValue> GetAsync(TKey key)
    {
        var callers = new TaskCompletionSource<TValue>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            if (running.TryGetValue(key, out var next))
            {
                if (next is null)
                    running[key] = callers;
                return (next ?? callers).Task;
            }
            running.Add(key, null);
        }
        // Later reads do not belong to the trace of this caller.
        using (ExecutionContext.SuppressFlow())
            _ = ReadAsync(key, callers);
        return callers.Task;
    }

    async Task ReadAsync(TKey key, TaskCompletionSource<TValue>? callers)
    {
        while (callers is not null)
        {
            try
            {
                callers.SetResult(await read(key));
            }
            catch (Exception e)
            {
                callers.SetException(e);
            }
            lock (gate)
            {
                callers = running[key];
                if (callers is null)
                    running.Remove(key);
                else
                    running[key] = null;
            }
        }
    }
}
