using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Increment.Tests.Kubernetes;
using MongoDB.Bson;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Storage;

/// <summary>The services' users of MongoDB, and the commands that their rights in <c>mongo.js</c> allow.</summary>
static partial class MongoUsers
{
    public static readonly string Script = Path.Combine(Rendered.Folder, "components/store-users/mongo.js");

    static readonly string Text = File.ReadAllText(Script);
    static readonly ConcurrentQueue<(string Database, string What)> Refused = [];

    /// <summary>The collections of each service.</summary>
    public static readonly IReadOnlyDictionary<string, string[]> Collections =
        CollectionsOfService().Matches(Text).ToDictionary(m => m.Groups[1].Value, m => Names(m.Groups[2].Value));

    /// <summary>The rights of each service on each of its collections.</summary>
    public static readonly string[] Actions = Names(ActionsOfAll().Match(Text).Groups[1].Value);

    /// <summary>Notes a command that no service's user may run.</summary>
    public static void Check(CommandStartedEvent sent)
    {
        foreach (var (collection, action) in Needs(sent.CommandName, sent.Command))
        {
            if (!Actions.Contains(action) || !Collections.Values.Any(own => own.Contains(collection)))
                Refused.Enqueue((sent.DatabaseNamespace.DatabaseName, $"{action} on {collection}"));
        }
    }

    /// <summary>The notes of <see cref="Check"/> about a database.</summary>
    public static IEnumerable<string> RefusedIn(IMongoDatabase database) =>
        Refused.Where(r => r.Database == database.DatabaseNamespace.DatabaseName).Select(r => r.What).Distinct();

    /// <summary>The rights that a command needs: https://www.mongodb.com/docs/manual/reference/privilege-actions/</summary>
    static IEnumerable<(string Collection, string Action)> Needs(string name, BsonDocument command)
    {
        IEnumerable<string> actions = name switch
        {
            "find" or "aggregate" or "getMore" => ["find"],
            "insert" => ["insert"],
            "update" => ["update", .. command["updates"].AsBsonArray.Any(Upserts) ? ["insert"] : (string[])[]],
            "delete" => ["remove"],
            "findAndModify" => ["find", command.GetValue("remove", false).ToBoolean() ? "remove" : "update", .. Upserts(command) ? ["insert"] : (string[])[]],
            "createIndexes" => ["createIndex"],
            "dropDatabase" => [], // used only by the tests
            "buildInfo" or "endSessions" or "hello" or "isMaster" or "killCursors" or "ping" => [], // allowed to every user
            _ => [name],
        };
        var collection = command.GetValue(name is "getMore" ? "collection" : name, "").ToString()!;
        return actions.Select(action => (collection, action));
    }

    static bool Upserts(BsonValue update) => update.AsBsonDocument.GetValue("upsert", false).ToBoolean();

    static string[] Names(string list) => [.. list.Split(',').Select(name => name.Trim(' ', '"'))];

    [GeneratedRegex(@"(?m)^  (\w+): \[(.*)\],$")]
    private static partial Regex CollectionsOfService();

    [GeneratedRegex(@"const actions = \[(.*)\];")]
    private static partial Regex ActionsOfAll();
}
