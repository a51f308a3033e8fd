using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Increment.Tests.Auth;
using Increment.Tests.Containers;
using Increment.Tests.Kubernetes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using RedisRateLimiting;
using StackExchange.Redis;

namespace Increment.Tests.Storage;

/// <summary>
/// The scripts that create MongoDB's users and the replica set, run against a fake database in JavaScript, because a
/// MongoDB with user management is not available everywhere. <see cref="MongoUsers"/> checks the commands of the stores.
/// </summary>
[Trait("Category", "System")]
public sealed partial class MongoUserScriptTests : IDisposable
{
    /// <summary>A database with users and roles. It refuses to create a user or role that exists, and to change one that does not exist.</summary>
    const string Fake = """
        const fs = require("fs");
        const state = { users: {}, roles: {}, calls: [], ...JSON.parse(process.env.STATE) };
        const make = (kind, name, value) => { if (state[kind][name]) throw new Error(`${name} already exists`); state[kind][name] = value; };
        const change = (kind, name, value) => { if (!state[kind][name]) throw new Error(`${name} does not exist`); Object.assign(state[kind][name], value); };
        const admin = {
          auth: (user, pwd) => { state.calls.push(`auth ${user} ${pwd}`); return { ok: 1 }; },
          getRole: (name) => state.roles[name] ?? null,
          getUser: (name) => state.users[name] ?? null,
          createRole: ({ role, ...rest }) => make("roles", role, rest),
          updateRole: (role, rest) => change("roles", role, rest),
          createUser: ({ user, ...rest }) => make("users", user, rest),
          updateUser: (user, rest) => change("users", user, rest),
        };
        const db = { getSiblingDB: (name) => { if (name !== "admin") throw new Error(name); return admin; } };
        new Function("db", "process", fs.readFileSync(process.argv[2], "utf8"))(db, process);
        console.log(JSON.stringify(state));
        """;

    /// <summary>A member of a replica set. The set may not exist at first, and its first creation is refused.</summary>
    const string FakeMember = """
        const state = { calls: [], ...JSON.parse(process.env.STATE) };
        const admin = {
          auth: (user, pwd) => { if (state.admin !== pwd) throw new Error("Authentication failed."); return { ok: 1 }; },
          createUser: ({ user, pwd, roles }) => { state.calls.push(`createUser ${user} ${roles}`); state.admin = pwd; },
        };
        const db = { getSiblingDB: () => admin, hello: () => ({ setName: state.set, isWritablePrimary: state.primary && !!state.set }) };
        const rs = { initiate: ({ _id, members }) => {
          state.calls.push(`initiate ${_id} ${members.map((m) => m.host)}`);
          if (state.calls.length === 1) throw new Error("not all members answer");
          state.set = _id;
        } };
        const sleep = () => { if ((state.waits = (state.waits ?? 0) + 1) > 9) { console.log(JSON.stringify(state)); process.exit(0); } };
        new Function("db", "rs", "process", "sleep", "print", require("fs").readFileSync(process.argv[2], "utf8"))(db, rs, process, sleep, () => {});
        console.log(JSON.stringify({ ...state, ended: true }));
        """;

    static readonly string[] Services = ["auth", "jobs", "counter"];

    readonly string fake = Path.GetTempFileName();

    public MongoUserScriptTests() => File.WriteAllText(fake, Fake);

    public void Dispose() => File.Delete(fake);

    [Fact]
    public async Task Each_service_has_a_user_with_rights_to_its_own_collections()
    {
        var made = await RunAsync("{}");
        Assert.Equal(Services, made["users"]!.AsObject().Select(u => u.Key));
        foreach (var service in Services)
        {
            Assert.Equal($$"""{"pwd":"{{service}}-1","roles":[{"role":"increment-{{service}}","db":"admin"}]}""", made["users"]![service]!.ToJsonString());
            var role = made["roles"]![$"increment-{service}"]!;
            Assert.Empty(role["roles"]!.AsArray());
            Assert.Equal(MongoUsers.Collections[service], role["privileges"]!.AsArray().Select(p => (string)p!["resource"]!["collection"]!));
            Assert.All(role["privileges"]!.AsArray(), p => Assert.Equal("increment", (string)p!["resource"]!["db"]!));
            Assert.All(role["privileges"]!.AsArray(), p => Assert.Equal(MongoUsers.Actions, p!["actions"]!.AsArray().Select(a => (string)a!)));
        }
    }

    [Fact]
    public async Task A_second_run_sets_new_passwords_and_removes_excess_rights()
    {
        var made = await RunAsync("{}");
        var old = made.DeepClone();
        old["roles"]!["increment-jobs"]!["roles"] = new JsonArray(new JsonObject { ["role"] = "root", ["db"] = "admin" });
        old["users"]!["jobs"]!["roles"] = new JsonArray("root");
        var again = await RunAsync(old.ToJsonString(), password: "2");
        Assert.Equal(made["roles"]!.ToJsonString(), again["roles"]!.ToJsonString());
        Assert.Equal(made["users"]!.ToJsonString().Replace("-1\"", "-2\"", StringComparison.Ordinal), again["users"]!.ToJsonString());
    }

    [Fact]
    public async Task The_script_signs_in_as_the_administrator_if_it_has_the_password()
    {
        Assert.Empty((await RunAsync("{}"))["calls"]!.AsArray());
        Assert.Equal("auth admin root", (string)Assert.Single((await RunAsync("{}", root: "root"))["calls"]!.AsArray())!);
    }

    [Fact]
    public async Task Without_a_password_the_script_fails_with_an_error_that_names_the_variable()
    {
        var (exitCode, _, error) = await TryRunAsync("{}", "1", "", "MONGO_JOBS_PASSWORD");
        Assert.NotEqual(0, exitCode);
        Assert.Contains("MONGO_JOBS_PASSWORD is not set.", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("auth", "AuthService")]
    [InlineData("jobs", "JobsService")]
    [InlineData("counter", "CounterApi")]
    public void A_service_has_rights_to_the_collections_that_it_names_and_to_no_other(string service, string project)
    {
        var named = Directory.GetFiles(Path.Combine(Rendered.Folder, "..", $"Increment.{project}"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => Collection().Matches(File.ReadAllText(file))).Select(m => m.Groups[1].Value);
        Assert.Equal(named.Order(StringComparer.Ordinal), MongoUsers.Collections[service]);
    }

    const string Members = "mongo-0.mongo:27017,mongo-1.mongo:27017,mongo-2.mongo:27017";

    [Theory]
    [InlineData("mongo-0", """{"primary":true}""", true, "initiate rs0 " + Members, "initiate rs0 " + Members, "createUser admin root")]
    [InlineData("mongo-1", """{"primary":true}""", false)] // the first member creates the set
    [InlineData("mongo-1", """{"set":"rs0"}""", false)] // the primary creates the user
    [InlineData("mongo-1", """{"set":"rs0","primary":true}""", true, "createUser admin root")]
    [InlineData("mongo-0", """{"set":"rs0","primary":true,"admin":"root"}""", true)]
    public async Task The_replica_set_and_its_administrator_are_created_once(string host, string state, bool ends, params string[] calls)
    {
        Tool.Require("node");
        await File.WriteAllTextAsync(fake, FakeMember, TestContext.Current.CancellationToken);
        var environment = new Dictionary<string, string> { ["MONGO_PASSWORD"] = "root", ["HOSTNAME"] = host, ["STATE"] = state };
        var (exitCode, output, error) = await Tool.TryRunAsync(Rendered.Folder, environment, "node", fake, "overlays/production/mongo/initiate.js");
        Assert.True(exitCode == 0, error);
        var made = JsonNode.Parse(output)!;
        Assert.Equal(calls, made["calls"]!.AsArray().Select(call => (string)call!));
        Assert.Equal(ends, made["ended"] is not null);
    }

    async Task<JsonNode> RunAsync(string state, string password = "1", string root = "")
    {
        var (exitCode, output, error) = await TryRunAsync(state, password, root, without: "");
        Assert.True(exitCode == 0, error);
        return JsonNode.Parse(output)!;
    }

    Task<(int ExitCode, string Output, string Error)> TryRunAsync(string state, string password, string root, string without)
    {
        Tool.Require("node");
        var environment = Services.ToDictionary(s => $"MONGO_{s.ToUpperInvariant()}_PASSWORD", s => $"{s}-{password}");
        environment["MONGO_PASSWORD"] = root;
        environment["STATE"] = state;
        environment.Remove(without);
        return Tool.TryRunAsync(Rendered.Folder, environment, "node", fake, MongoUsers.Script);
    }

    [GeneratedRegex(@"GetCollection<\w+>\(""(\w+)""\)")]
    private static partial Regex Collection();
}

/// <summary>Redis as <c>redis.sh</c> starts it.</summary>
public sealed class RedisWithUsers : IAsyncLifetime
{
    static readonly string Script = Path.Combine(Rendered.Folder, "components/store-users/redis.sh");

    internal ServerContainer Server { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        if (!ContainerEngine.IsThere)
            return;
        string[] passwords = ["REDIS_PASSWORD=default", .. RedisUserTests.Services.Select(s => $"CACHE_{s.Data.ToUpperInvariant()}_PASSWORD={s.Data}")];
        Server = await ServerContainer.StartRedisAsync(
            ["--volume", $"{Script}:/users/redis.sh:ro", .. passwords.Select(p => $"--env={p}-password")], ["sh", "/users/redis.sh", "--save", ""]);
    }

    public ValueTask DisposeAsync() => Server?.DisposeAsync() ?? ValueTask.CompletedTask;
}

/// <summary>Each service's user of Redis has the rights that the service needs, and no others.</summary>
[Trait("Category", "System")]
public sealed class RedisUserTests(RedisWithUsers redis) : IClassFixture<RedisWithUsers>, IAsyncLifetime
{
    public static TheoryData<string> Services => ["auth", "jobs", "counter"];

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    ConnectionMultiplexer operatorsOwn = null!;

    public async ValueTask InitializeAsync()
    {
        ContainerEngine.Require();
        operatorsOwn = await ConnectAsync("default");
        await operatorsOwn.GetDatabase().ExecuteAsync("ACL", "LOG", "RESET");
    }

    public ValueTask DisposeAsync() => operatorsOwn?.DisposeAsync() ?? ValueTask.CompletedTask;

    [Fact]
    public async Task The_services_cache_tokens_and_receive_revocations()
    {
        await using var auth = await StartAsync("auth");
        await using var jobs = await StartAsync("jobs");
        await using var counter = await StartAsync("counter");
        var principal = new Principal("1", "ann", "t1", Scopes.OfUsers, null, DateTimeOffset.UtcNow);
        var hash = TokenHash.Of("a token");

        Assert.True(await Layer(jobs).TryAddAsync(hash, principal));
        var found = await Layer(counter).FindAsync(hash);
        Assert.Equal("t1", found?.Principal?.TokenId);

        var heard = new List<Task>();
        foreach (var service in (WebApplication[])[jobs, counter])
        {
            var here = new TaskCompletionSource();
            Layer(service).Revoked += revoked => here.TrySetResult();
            heard.Add(here.Task);
        }
        await auth.Services.GetRequiredService<ITokenRevocations>().AnnounceAsync([hash]);
        await Task.WhenAll(heard).WaitAsync(TimeSpan.FromSeconds(10), ct);
        Assert.Null((await Layer(counter).FindAsync(hash))!.Value.Principal);

        // Redis refuses only the client library's queries about a cluster and about the configuration of the server.
        Assert.All(await RefusedAsync(), refused => Assert.Matches(@"^(cluster|config)\|", refused));

        static ITokenCacheLayer Layer(WebApplication service) => service.Services.GetRequiredService<ITokenCacheLayer>();
    }

    [Theory]
    [MemberData(nameof(Services))]
    public async Task A_service_counts_for_its_limits_with_scripts_that_cannot_use_other_keys(string service)
    {
        await using var connection = await ConnectAsync(service);
        await using var limiter = new RedisFixedWindowRateLimiter<string>($"login:{service}", new()
        {
            ConnectionMultiplexerFactory = () => connection, PermitLimit = 2, Window = TimeSpan.FromMinutes(1),
        });
        foreach (var expected in (bool[])[true, true, false])
        {
            using var lease = await limiter.AcquireAsync(1, ct);
            Assert.Equal(expected, lease.IsAcquired);
        }
        foreach (var (key, inner) in ((string, string)[])[("other", "return redis.call('set', KEYS[1], 1)"), ("rl:1", "return redis.call('flushall')"), ("rl:1", "return redis.call('set', 'other', 1)")])
            Assert.Matches("NOPERM|can't run|can't access|permission", (await Assert.ThrowsAsync<RedisServerException>(() => connection.GetDatabase().ScriptEvaluateAsync(inner, [key]))).Message);
    }

    [Theory]
    [MemberData(nameof(Services))]
    public async Task A_service_has_no_other_rights(string service)
    {
        string[] refused =
        [
            "FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "CONFIG GET requirepass", "CONFIG SET requirepass x", "ACL LIST", "ACL SETUSER jobs on",
            "CLIENT LIST", "CLIENT KILL TYPE normal", "MONITOR", "SHUTDOWN", "SAVE", "DEBUG SLEEP 0", "REPLICAOF NO ONE", "SCRIPT FLUSH", "FUNCTION LIST", "MODULE LIST",
            "GET other", "SET other 1", "DEL token:1", "GETDEL token:1", "KEYS token:*", "EVAL x 1 other", "SET __Booksleeve_TieBreak x",
            "SUBSCRIBE other", "PSUBSCRIBE *", "PUBLISH other x",
            .. service is "auth" ? (string[])["GET token:1", "SET token:1 x NX GET", "EVAL x 1 token:1"] : ["PUBLISH token-revoked x"],
        ];
        foreach (var command in refused)
            Assert.Contains("permission", await DryRunAsync(service, command), StringComparison.Ordinal);
        foreach (var command in (string[])["SET token:1 x PX 1", "PING", "CLIENT ID", .. service is "auth" ? (string[])["PUBLISH token-revoked x"] : ["GET token:1", "PTTL token:1"]])
            Assert.Equal("OK", await DryRunAsync(service, command));
    }

    [Fact]
    public async Task Passwords_are_not_among_the_servers_arguments()
    {
        var arguments = await redis.Server.ReadAsync("/proc/1/cmdline");
        Assert.Contains("redis-server", arguments, StringComparison.Ordinal);
        Assert.DoesNotContain("-password", arguments, StringComparison.Ordinal);
    }

    async Task<string> DryRunAsync(string service, string command)
    {
        var answer = await operatorsOwn.GetDatabase().ExecuteAsync("ACL", ["DRYRUN", service, .. command.Split(' ')]);
        return answer.ToString();
    }

    /// <summary>The commands, keys and channels that Redis refused.</summary>
    async Task<IEnumerable<string>> RefusedAsync()
    {
        var log = (RedisResult[])(await operatorsOwn.GetDatabase().ExecuteAsync("ACL", "LOG", "128"))!;
        return log.Select(entry => entry.ToDictionary()).Select(entry => entry["object"].ToString());
    }

    string ConnectionString(string user) => $"{redis.Server.Address},user={user},password={user}-password";

    async Task<ConnectionMultiplexer> ConnectAsync(string user) => await ConnectionMultiplexer.ConnectAsync(ConnectionString(user));

    /// <summary>The services' common setup, with the connection string that the manifest gives this service.</summary>
    async Task<WebApplication> StartAsync(string service)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Configuration["ConnectionStrings:cache"] = ConnectionString(service);
        builder.Configuration["Increment:ServiceSecret"] = AuthServer.ServiceSecret;
        builder.Configuration["urls"] = "http://127.0.0.1:0";
        builder.AddServiceDefaults();
        var app = builder.Build();
        var subscribed = new TaskCompletionSource();
        app.Services.GetRequiredService<ITokenCacheLayer>().Subscribed += () => subscribed.TrySetResult();
        await app.StartAsync(ct);
        await subscribed.Task.WaitAsync(TimeSpan.FromSeconds(10), ct);
        return app;
    }
}
