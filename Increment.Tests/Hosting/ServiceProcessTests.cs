using System.Diagnostics;
using Increment.Tests.Auth;

namespace Increment.Tests.Hosting;

/// <summary>The services as processes: on a machine with few resources left, and with invalid settings.</summary>
[Trait("Category", "System")]
public sealed class ServiceProcessTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("AuthService"), InlineData("JobsService"), InlineData("CounterApi")]
    public async Task A_service_starts_when_its_user_has_no_inotify_instance_left(string service)
    {
        Assert.SkipUnless(await MayUnshareAsync(), "Needs user namespaces: unshare --user --map-root-user.");
        await using var file = new SqliteFile();
        using var process = Start(service, file, [], unshare: true);
        try
        {
            while (await process.StandardOutput.ReadLineAsync(ct) is { } line)
                if (line.Contains("Application started", StringComparison.Ordinal))
                    return;
            Assert.Fail(await process.StandardError.ReadToEndAsync(ct));
        }
        finally
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(ct);
        }
    }

    [Theory]
    [InlineData("ConnectionStrings:increment", "")]
    [InlineData("ConnectionStrings:increment", "nonsense")]
    [InlineData("ConnectionStrings:increment", "Data Source=")]
    [InlineData("ConnectionStrings:increment", "Data Source=/tmp/x.db;Password=x")]
    [InlineData("ConnectionStrings:increment", "Data Source=/tmp/x.db;Mode=Sideways")]
    [InlineData("ConnectionStrings:increment", "Data Source=/no/such/folder/x.db")]
    [InlineData("ConnectionStrings:increment", "Data Source=/tmp")]
    [InlineData("ConnectionStrings:increment", "mongodb://a:p@ss@host")]
    [InlineData("ConnectionStrings:increment", "mongodb://host:port")]
    [InlineData("ConnectionStrings:increment", "mongodb://host/?w=majority&nonsense")]
    [InlineData("ConnectionStrings:cache", "localhost:6379,nonsense=1")]
    [InlineData("ConnectionStrings:cache", "localhost:port")]
    [InlineData("Increment:ServiceSecret", "")]
    [InlineData("Increment:ServiceSecret", "short")]
    [InlineData("Increment:Proxies", "10.0.0.0/40")]
    [InlineData("Increment:Proxies", "nonsense")]
    [InlineData("Increment:PublicOrigin", "integers.example.com")]
    [InlineData("Increment:PublicOrigin", "https://integers.example.com/path")]
    [InlineData("Increment:Shutdown:Drain", "-1")]
    [InlineData("Increment:Shutdown:Drain", "soon")]
    [InlineData("Increment:Cors:Origins", "nonsense")]
    [InlineData("Increment:Limits:token:Permits", "-1")]
    [InlineData("Increment:Limits:token:Window", "0")]
    [InlineData("services:auth:http:0", "nonsense", "JobsService", "CounterApi")]
    [InlineData("Increment:Limits:register:Permits", "many", "AuthService")]
    [InlineData("Increment:Limits:wrong-passwords-account:Window", "0", "AuthService")]
    [InlineData("Increment:Tokens:Lifetime", "0", "AuthService")]
    [InlineData("Increment:Tokens:Lifetime", "long", "AuthService")]
    [InlineData("Increment:Tokens:KeyRotation", "-1", "AuthService")]
    [InlineData("Increment:DataProtection:Certificate", "/no/such/file.pem", "AuthService")]
    [InlineData("Increment:DataProtection:AllowPlaintextKeys", "perhaps", "AuthService")]
    [InlineData("Increment:Limits:wrong-passwords-owner:Permits", "-1", "AuthService")]
    [InlineData("Increment:Counters:InitialValue", "-1", "CounterApi")]
    [InlineData("Increment:Counters:LimitPerUser", "x", "CounterApi")]
    [InlineData("Increment:Counters:KeysPerUser", "-1", "CounterApi")]
    [InlineData("Increment:Counters:QueueLimit", "0", "CounterApi")]
    [InlineData("Increment:Counters:KeyRetention", "01:00:00", "CounterApi")]
    public async Task A_setting_that_cannot_be_used_ends_the_service_with_one_sentence(string setting, string value, params string[] services)
    {
        foreach (var service in services.Length > 0 ? services : ["AuthService", "JobsService", "CounterApi"])
        {
            await using var file = new SqliteFile();
            using var process = Start(service, file, [$"--{setting}={value}"]);
            var (errors, starts) = (process.StandardError.ReadToEndAsync(ct), false);
            while (await process.StandardOutput.ReadLineAsync(ct) is { } line)
                if (starts |= line.Contains("Application started", StringComparison.Ordinal))
                    process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(ct);
            var error = (await errors).Trim();
            Assert.True(!starts && process.ExitCode == 1 && error.Length > 0 && !error.Contains('\n') && !error.Contains("Exception", StringComparison.Ordinal),
                $"{service} with {setting}={value} {(starts ? "starts" : "ends")}: {error}");
        }
    }

    static Process Start(string service, SqliteFile file, string[] arguments, bool unshare = false)
    {
        var command = $"exec dotnet {Path.Combine(AppContext.BaseDirectory, $"Increment.{service}.dll")} \"$@\"";
        var start = new ProcessStartInfo(unshare ? "unshare" : "sh", [
            .. unshare ? (string[])["--user", "--map-root-user", "sh"] : [], "-c",
            unshare ? "echo 0 > /proc/sys/user/max_inotify_instances; " + command : command, "sh", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment =
            {
                ["ASPNETCORE_ENVIRONMENT"] = "Production", ["ASPNETCORE_URLS"] = "http://127.0.0.1:0",
                ["ConnectionStrings__increment"] = file.ConnectionString, ["Increment__ServiceSecret"] = AuthServer.ServiceSecret,
                ["services__auth__http__0"] = "http://127.0.0.1:1", ["DOTNET_DbgEnableMiniDump"] = "0",
            },
        };
        return Process.Start(start)!;
    }

    async Task<bool> MayUnshareAsync()
    {
        try
        {
            using var process = Process.Start("unshare", ["--user", "--map-root-user", "true"]);
            await process.WaitForExitAsync(ct);
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
