using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Increment.Tests.Hosting;

/// <summary>The AppHost as a process: its end, however it comes, is its services' end.</summary>
public sealed class AppHostProcessTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Sigterm_stops_the_services_and_then_the_AppHost()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no SIGTERM.");
        await using var appHost = new AppHostProcess();
        var services = await appHost.WaitForHealthAsync(ct);

        Assert.Equal(0, Kill(appHost.Process.Id, 15));

        await appHost.Process.WaitForExitAsync(ct);
        Assert.Equal(0, appHost.Process.ExitCode);
        Assert.All(services.Values, service => Assert.False(IsAlive(ProcessId(service))));
    }

    [Fact]
    public async Task A_killed_AppHost_leaves_no_service()
    {
        await using var appHost = new AppHostProcess();
        var services = (await appHost.WaitForHealthAsync(ct)).Values.Select(ProcessId).ToArray();

        appHost.Process.Kill();

        await EndAsync(services);
    }

    [Fact]
    public async Task A_killed_dotnet_run_leaves_neither_AppHost_nor_service()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The AppHost is found by /proc, which this machine lacks.");
        var configuration = typeof(AppHostProcessTests).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;
        await using var run = new AppHostProcess(["run", "--no-build", "--no-launch-profile", "--configuration", configuration,
            "--project", Projects.Increment_AppHost.ProjectPath, "--"]);
        var services = (await run.WaitForHealthAsync(ct)).Values.Select(ProcessId).ToArray();
        var appHost = int.Parse(File.ReadAllText($"/proc/{services[0]}/stat").Split(' ')[3], CultureInfo.InvariantCulture);
        Assert.NotEqual(run.Process.Id, appHost);

        run.Process.Kill();

        await EndAsync([appHost, .. services]);
    }

    [Fact]
    public async Task An_AppHost_that_is_killed_while_it_starts_leaves_no_service()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Orphans are found by /proc, which this machine lacks.");
        await using var appHost = new AppHostProcess();
        await appHost.Started.WaitAsync(ct);
        List<int> services;
        while ((services = appHost.Services()).Count == 0)
            await Task.Delay(1, ct);

        appHost.Process.Kill();

        await appHost.Process.WaitForExitAsync(ct);
        await EndAsync([.. services, .. appHost.Services()]);
        Assert.Empty(appHost.Services());
    }

    [Fact]
    public async Task A_taken_port_is_told_in_one_sentence()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        var port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        var start = new ProcessStartInfo("dotnet", [typeof(Projects.Increment_AppHost).Assembly.Location, "--Increment:Storage:Engine=embedded"])
        {
            WorkingDirectory = Projects.Increment_AppHost.ProjectPath,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            Environment = { ["ASPNETCORE_URLS"] = $"http://localhost:{port}", ["DOTNET_ENVIRONMENT"] = "Development" },
        };
        using var appHost = Process.Start(start)!;
        var output = appHost.StandardOutput.ReadToEndAsync(ct);
        var error = await appHost.StandardError.ReadToEndAsync(ct);
        await appHost.WaitForExitAsync(ct);

        Assert.Equal(1, appHost.ExitCode);
        Assert.Equal($"Port {port} of the dashboard is taken by another program: end that program, or give the dashboard another port in the AppHost's launchSettings.json.",
            error.Trim());
        Assert.DoesNotContain("Exception", await output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_dashboard_lets_in_the_token_alone_and_shows_no_secret()
    {
        await using var appHost = new AppHostProcess();
        await appHost.Started.WaitAsync(ct);
        using var stranger = new HttpClient { BaseAddress = appHost.Dashboard };
        foreach (var address in (string[])["", "api/resources", "login?t=wrong"])
            Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync(address, ct)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.PostAsync("api/resources/jobs/stop", null, ct)).StatusCode);

        var services = await appHost.WaitForHealthAsync(ct);

        var environment = services["auth"].GetProperty("environment").EnumerateArray().ToDictionary(v => v.GetProperty("name").GetString()!, v => v.GetProperty("value").GetString());
        Assert.Equal("auth", environment["OTEL_SERVICE_NAME"]);
        Assert.Null(environment["Increment__DemoToken"]);
        Assert.DoesNotContain("mytoken", JsonSerializer.Serialize(services), StringComparison.Ordinal);

        using var http = await appHost.SignInAsync(ct);
        Assert.Contains("Increment", await http.GetStringAsync("", ct), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync("no-such.js", ct)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await http.PostAsync("api/resources/jobs/stop", null, ct)).StatusCode);
        await appHost.WaitForServicesAsync(service => service.GetProperty("displayName").GetString() is not "jobs"
            || (service.GetProperty("state").GetString() is "Finished" && service.GetProperty("exitCode").GetInt32() == 0), ct);

        using var rebound = new HttpRequestMessage(HttpMethod.Get, "api/resources") { Headers = { Host = "attacker.example" } };
        Assert.Equal(HttpStatusCode.Forbidden, (await http.SendAsync(rebound, ct)).StatusCode);
        using var forged = new HttpRequestMessage(HttpMethod.Post, "api/resources/auth/stop") { Headers = { { "Sec-Fetch-Site", "cross-site" } } };
        Assert.Equal(HttpStatusCode.Forbidden, (await http.SendAsync(forged, ct)).StatusCode);
    }

    async Task EndAsync(int[] processes)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (processes.Any(IsAlive))
            await Task.Delay(50, limit.Token);
    }

    static bool IsAlive(int process)
    {
        try
        {
            using var found = Process.GetProcessById(process);
            return !found.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    static int ProcessId(JsonElement service) => service.GetProperty("processId").GetInt32();

    [DllImport("libc", EntryPoint = "kill")]
    static extern int Kill(int process, int signal);
}
