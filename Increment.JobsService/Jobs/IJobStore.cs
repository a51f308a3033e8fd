namespace Increment.JobsService.Jobs;

/// <summary>A job that is open.</summary>
/// <param name="Id">Unique, never reused, and sorted by the time of addition.</param>
/// <param name="Title">One line, 1 to 200 characters.</param>
/// <param name="Description">One line, 1 to 2,000 characters.</param>
sealed record Job(string Id, string Title, string Description)
{
    /// <summary>How long a title may be, in characters.</summary>
    public const int MaxTitle = 200;

    /// <summary>How long a description may be, in characters.</summary>
    public const int MaxDescription = 2000;

    /// <summary>The first job of a new store.</summary>
    public static readonly Job Seed = new("00000000-0000-7000-8000-000000000001", "Devops", "Awesome");

    /// <summary>
    /// A version-7 UUID (RFC 9562) whose first random bits are the fraction of the millisecond (section 6.2, method 3),
    /// so that jobs are sorted by the time of addition.
    /// </summary>
    public static string NewId(DateTimeOffset now)
    {
        Span<byte> bytes = stackalloc byte[16];
        Guid.CreateVersion7(now).TryWriteBytes(bytes, bigEndian: true, out _);
        var fraction = (int)(now.Ticks % TimeSpan.TicksPerMillisecond * 4096 / TimeSpan.TicksPerMillisecond);
        bytes[6] = (byte)(0x70 | fraction >> 8);
        bytes[7] = (byte)fraction;
        return new Guid(bytes, bigEndian: true).ToString();
    }
}

/// <summary>
/// The store of the jobs. A new store contains <see cref="Job.Seed"/>. If that job is deleted, it stays deleted.
/// Acknowledged changes survive the end of the process.
/// </summary>
interface IJobStore
{
    /// <summary>Lists jobs in the order of their ids.</summary>
    /// <param name="after">Start after this id, which need not exist; null to start at the first job.</param>
    /// <param name="limit">The maximum number of jobs.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    Task<IReadOnlyList<Job>> ListAsync(string? after, int limit, CancellationToken cancellationToken);

    /// <summary>The job, or null.</summary>
    Task<Job?> FindAsync(string id, CancellationToken cancellationToken);

    /// <summary>Adds a job whose id is new.</summary>
    Task AddAsync(Job job, CancellationToken cancellationToken);

    /// <summary>
    /// Replaces a job by another job with the same id. Returns false if <paramref name="before"/> is not in the store in this
    /// state.
    /// </summary>
    Task<bool> TryReplaceAsync(Job before, Job after, CancellationToken cancellationToken);

    /// <summary>Deletes a job. Returns false if the job is not in the store in this state.</summary>
    Task<bool> TryDeleteAsync(Job job, CancellationToken cancellationToken);
}
