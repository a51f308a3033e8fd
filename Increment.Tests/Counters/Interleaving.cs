namespace Increment.Tests.Counters;

/// <summary>
/// Runs a program of several threads repeatedly, each time in a different order of its steps, until all orders were
/// tried (after CHESS, Musuvathi et al., 2008). A step is the work of a thread from one <see cref="Step"/> to the next;
/// only one thread runs at a time.
/// </summary>
sealed class Interleaving : IDisposable
{
    readonly List<(int Chosen, int Of)> choices;
    readonly List<Thread> threads = [];
    readonly List<SemaphoreSlim> ready = [];
    readonly SemaphoreSlim stepped = new(0);
    readonly List<string> trace = [];
    Exception? failure;
    int running, depth;

    Interleaving(List<(int, int)> choices) => this.choices = choices;

    /// <summary>
    /// Tries every order. The program starts its threads with <see cref="Start"/> and returns a check that must pass
    /// when all threads have ended.
    /// </summary>
    /// <returns>The number of orders.</returns>
    public static int TryAll(Func<Interleaving, Action> program)
    {
        var choices = new List<(int Chosen, int Of)>();
        for (var orders = 1; ; orders++)
        {
            using var run = new Interleaving(choices);
            var check = program(run);
            run.Run();
            try
            {
                if (run.failure is not null)
                    throw run.failure;
                check();
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Order {orders} fails: {string.Join(" ", run.trace)}", e);
            }
            while (choices.Count > 0 && choices[^1].Chosen == choices[^1].Of - 1)
                choices.RemoveAt(choices.Count - 1);
            if (choices.Count == 0)
                return orders;
            choices[^1] = (choices[^1].Chosen + 1, choices[^1].Of);
        }
    }

    /// <summary>Adds a thread. A running thread may add threads too.</summary>
    public void Start(string name, Action body)
    {
        var mine = new SemaphoreSlim(0);
        var thread = new Thread(() =>
        {
            mine.Wait();
            try
            {
                body();
            }
            catch (Exception e)
            {
                failure ??= e;
            }
            var index = ready.IndexOf(mine);
            ready.RemoveAt(index);
            threads.RemoveAt(index);
            stepped.Release();
        }, maxStackSize: 256 * 1024)
        { Name = name, IsBackground = true };
        ready.Add(mine);
        threads.Add(thread);
        thread.Start();
    }

    /// <summary>Ends a step: another thread may run from here.</summary>
    public void Step()
    {
        var mine = ready[running];
        stepped.Release();
        mine.Wait();
    }

    public void Dispose() => stepped.Dispose();

    void Run()
    {
        while (ready.Count > 0)
        {
            if (depth == choices.Count)
                choices.Add((0, ready.Count));
            running = choices[depth++].Chosen;
            trace.Add(threads[running].Name!);
            ready[running].Release();
            stepped.Wait();
        }
    }
}
