using System.Collections.Concurrent;
using System.Globalization;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>A line of a console.</summary>
public readonly record struct LogLine(int LineNumber, string Content, bool IsErrorMessage);

/// <summary>Keeps what the resources write to their consoles: the last <see cref="MaxLines"/> lines of each.</summary>
public class ResourceLoggerService
{
    internal const int MaxLines = 10_000;

    readonly ConcurrentDictionary<string, Backlog> _backlogs = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Called with each line as it comes.</summary>
    internal Action<string, LogLine>? Written { get; set; }

    /// <summary>A logger that writes to the console log of a resource.</summary>
    public ILogger GetLogger(IResource resource) => GetLogger(resource.Name);

    /// <summary>A logger that writes to the console log of a resource or replica.</summary>
    public ILogger GetLogger(string resourceName) => new ResourceLogger(this, resourceName);

    /// <summary>The lines of a resource so far.</summary>
    public IAsyncEnumerable<IReadOnlyList<LogLine>> GetAllAsync(string resourceName) => Of(resourceName).ReadAsync(follow: false);

    /// <summary>The lines of a resource so far.</summary>
    public IAsyncEnumerable<IReadOnlyList<LogLine>> GetAllAsync(IResource resource) => GetAllAsync(resource.Name);

    /// <summary>The lines of a resource so far, then each as it comes.</summary>
    public IAsyncEnumerable<IReadOnlyList<LogLine>> WatchAsync(string resourceName) => Of(resourceName).ReadAsync(follow: true);

    /// <summary>The lines of a resource so far, then each as it comes.</summary>
    public IAsyncEnumerable<IReadOnlyList<LogLine>> WatchAsync(IResource resource) => WatchAsync(resource.Name);

    /// <summary>A line of a replica is also one of its resource.</summary>
    internal void Write(string resourceName, string? replicaId, string content, bool isError)
    {
        // The time is Aspire's: in front of each line, UTC.
        var stamped = string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyy-MM-ddTHH:mm:ss.fffffffZ} {content}");
        var line = Of(resourceName).Add(stamped, isError);
        if (replicaId is not null)
            Of(replicaId).Add(stamped, isError);
        Written?.Invoke(replicaId ?? resourceName, line);
    }

    Backlog Of(string resourceName) => _backlogs.GetOrAdd(resourceName, _ => new());

    sealed class Backlog
    {
        readonly Lock _lock = new();
        readonly Queue<LogLine> _lines = new();
        readonly HashSet<Channel<LogLine>> _readers = [];
        int _count;

        public LogLine Add(string content, bool isError)
        {
            lock (_lock)
            {
                var line = new LogLine(++_count, content, isError);
                _lines.Enqueue(line);
                if (_lines.Count > MaxLines)
                    _lines.Dequeue();
                foreach (var reader in _readers)
                    reader.Writer.TryWrite(line);
                return line;
            }
        }

        public async IAsyncEnumerable<IReadOnlyList<LogLine>> ReadAsync(bool follow,
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            // A reader that is too slow loses lines rather than keeping them all.
            var channel = Channel.CreateBounded<LogLine>(new BoundedChannelOptions(MaxLines) { FullMode = BoundedChannelFullMode.DropOldest });
            LogLine[] lines;
            lock (_lock)
            {
                lines = [.. _lines];
                if (follow)
                    _readers.Add(channel);
            }
            try
            {
                if (lines.Length > 0)
                    yield return lines;
                while (follow && await channel.Reader.WaitToReadAsync(cancellationToken))
                {
                    var batch = new List<LogLine>();
                    while (channel.Reader.TryRead(out var line))
                        batch.Add(line);
                    yield return batch;
                }
            }
            finally
            {
                lock (_lock)
                    _readers.Remove(channel);
            }
        }
    }

    sealed class ResourceLogger(ResourceLoggerService service, string name) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel is not LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            service.Write(name, null, formatter(state, exception) + (exception is null ? "" : Environment.NewLine + exception), logLevel >= LogLevel.Error);
    }
}
