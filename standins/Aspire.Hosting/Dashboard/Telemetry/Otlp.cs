using System.Globalization;
using System.Text;

namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>
/// What the dashboard reads of OTLP's messages, version 1.7 (https://github.com/open-telemetry/opentelemetry-proto); the
/// numbers are those of the fields there.
/// </summary>
static class Otlp
{
    /// <summary>What a batch is about: a service, and which process of it.</summary>
    internal readonly record struct Source(string Service, string Instance);

    /// <summary>ExportTraceServiceRequest.</summary>
    public static List<Span> ReadSpans(ReadOnlySpan<byte> message)
    {
        var spans = new List<Span>();
        ReadScopes(message, (source, scope, item) => spans.Add(ReadSpan(source, scope, item)));
        return spans;
    }

    /// <summary>ExportLogsServiceRequest.</summary>
    public static List<LogRecord> ReadLogs(ReadOnlySpan<byte> message)
    {
        var logs = new List<LogRecord>();
        ReadScopes(message, (source, scope, item) => logs.Add(ReadLog(source, scope, item)));
        return logs;
    }

    /// <summary>ExportMetricsServiceRequest, those instruments that are wanted.</summary>
    public static List<MetricPoint> ReadPoints(ReadOnlySpan<byte> message, Func<string, bool> isWanted)
    {
        var points = new List<MetricPoint>();
        ReadScopes(message, (source, _, item) => ReadMetric(source, item, isWanted, points));
        return points;
    }

    delegate void ScopeItem(Source source, string scope, ReadOnlySpan<byte> item);

    /// <summary>The three requests have the same frame: resources, in each scopes, in each items.</summary>
    static void ReadScopes(ReadOnlySpan<byte> message, ScopeItem read)
    {
        for (var request = new ProtobufReader(message); request.Next();)
        {
            if (request.Field != 1)
            {
                request.Skip();
                continue;
            }
            var bytes = request.ReadBytes();
            var source = new Source("", "");
            for (var resource = new ProtobufReader(bytes); resource.Next();)
            {
                if (resource.Field == 1)
                    source = ReadSource(resource.ReadBytes());
                else if (resource.Field == 2)
                    ReadScope(source, resource.ReadBytes(), read);
                else
                    resource.Skip();
            }
        }
    }

    static void ReadScope(Source source, ReadOnlySpan<byte> message, ScopeItem read)
    {
        var name = "";
        for (var scope = new ProtobufReader(message); scope.Next();)
        {
            if (scope.Field == 1)
            {
                for (var about = new ProtobufReader(scope.ReadBytes()); about.Next();)
                    if (about.Field == 1) name = string.Intern(about.ReadString());
                    else about.Skip();
            }
            else if (scope.Field == 2)
                read(source, name, scope.ReadBytes());
            else
                scope.Skip();
        }
    }

    static Source ReadSource(ReadOnlySpan<byte> message)
    {
        var attributes = new List<KeyValuePair<string, string>>();
        for (var resource = new ProtobufReader(message); resource.Next();)
            if (resource.Field == 1) attributes.Add(ReadAttribute(resource.ReadBytes()));
            else resource.Skip();
        string Of(string name) => string.Intern(attributes.FirstOrDefault(attribute => attribute.Key == name).Value ?? "");
        return new(Of("service.name"), Of("service.instance.id"));
    }

    static Span ReadSpan(Source source, string scope, ReadOnlySpan<byte> message)
    {
        string traceId = "", id = "", parentId = "", name = "", message_ = "";
        ulong kind = 0, start = 0, end = 0, status = 0;
        var attributes = new List<KeyValuePair<string, string>>();
        for (var span = new ProtobufReader(message); span.Next();)
            switch (span.Field)
            {
                case 1: traceId = Convert.ToHexStringLower(span.ReadBytes()); break;
                case 2: id = Convert.ToHexStringLower(span.ReadBytes()); break;
                case 4: parentId = Convert.ToHexStringLower(span.ReadBytes()); break;
                case 5: name = span.ReadString(); break;
                case 6: kind = span.ReadVarint(); break;
                case 7: start = span.ReadFixed64(); break;
                case 8: end = span.ReadFixed64(); break;
                case 9: attributes.Add(ReadAttribute(span.ReadBytes())); break;
                case 11: ReadEvent(span.ReadBytes(), attributes); break;
                case 15:
                    for (var told = new ProtobufReader(span.ReadBytes()); told.Next();)
                        if (told.Field == 2) message_ = told.ReadString();
                        else if (told.Field == 3) status = told.ReadVarint();
                        else told.Skip();
                    break;
                default: span.Skip(); break;
            }
        if (message_.Length > 0)
            attributes.Add(new("status", message_));
        return new(traceId, id, parentId, name, kind switch { 2 => "server", 3 => "client", 4 => "producer", 5 => "consumer", _ => "internal" },
            source.Service, source.Instance, scope, start, end < start ? 0 : end - start, status == 2, attributes);
    }

    /// <summary>An event, an exception for instance, is told as attributes of its span.</summary>
    static void ReadEvent(ReadOnlySpan<byte> message, List<KeyValuePair<string, string>> attributes)
    {
        var name = "event";
        var about = new List<KeyValuePair<string, string>>();
        for (var one = new ProtobufReader(message); one.Next();)
            switch (one.Field)
            {
                case 2: name = one.ReadString(); break;
                case 3: about.Add(ReadAttribute(one.ReadBytes())); break;
                default: one.Skip(); break;
            }
        attributes.Add(new($"event: {name}", string.Join('\n', about.Select(attribute => $"{attribute.Key}: {attribute.Value}"))));
    }

    static LogRecord ReadLog(Source source, string category, ReadOnlySpan<byte> message)
    {
        string body = "", traceId = "", spanId = "";
        ulong time = 0, severity = 0;
        var attributes = new List<KeyValuePair<string, string>>();
        for (var log = new ProtobufReader(message); log.Next();)
            switch (log.Field)
            {
                case 1: time = log.ReadFixed64(); break;
                case 2: severity = log.ReadVarint(); break;
                case 5: body = ReadValue(log.ReadBytes()); break;
                case 6: attributes.Add(ReadAttribute(log.ReadBytes())); break;
                case 9: traceId = Convert.ToHexStringLower(log.ReadBytes()); break;
                case 10: spanId = Convert.ToHexStringLower(log.ReadBytes()); break;
                default: log.Skip(); break;
            }
        var level = severity switch { >= 21 => "critical", >= 17 => "error", >= 13 => "warning", >= 9 => "information", >= 5 => "debug", _ => "trace" };
        return new(time, level, source.Service, category, body, traceId, spanId, attributes);
    }

    static void ReadMetric(Source source, ReadOnlySpan<byte> message, Func<string, bool> isWanted, List<MetricPoint> points)
    {
        var name = "";
        for (var metric = new ProtobufReader(message); metric.Next();)
        {
            if (metric.Field == 1)
                name = metric.ReadString();
            else if (metric.Field is 7 or 9 && isWanted(name)) // sum, histogram; the name comes before
            {
                for (var data = new ProtobufReader(metric.ReadBytes()); data.Next();)
                    if (data.Field == 1) points.Add(ReadPoint(source, name, isHistogram: metric.Field == 9, data.ReadBytes()));
                    else data.Skip();
            }
            else
                metric.Skip();
        }
    }

    static MetricPoint ReadPoint(Source source, string name, bool isHistogram, ReadOnlySpan<byte> message)
    {
        ulong start = 0, time = 0;
        double value = 0;
        ulong[] counts = [];
        double[] bounds = [];
        var attributes = new List<KeyValuePair<string, string>>();
        for (var point = new ProtobufReader(message); point.Next();)
            switch (point.Field)
            {
                case 2: start = point.ReadFixed64(); break;
                case 3: time = point.ReadFixed64(); break;
                case 4 when isHistogram: value = point.ReadFixed64(); break;
                case 4: value = point.ReadDouble(); break;
                case 6 when isHistogram: counts = point.ReadFixed64s(); break;
                case 6: value = (long)point.ReadFixed64(); break;
                case 7 when isHistogram: bounds = Array.ConvertAll(point.ReadFixed64s(), BitConverter.UInt64BitsToDouble); break;
                case 7 or 9: attributes.Add(ReadAttribute(point.ReadBytes())); break;
                default: point.Skip(); break;
            }
        return new(source, name, start, time, value, counts, bounds, attributes);
    }

    static KeyValuePair<string, string> ReadAttribute(ReadOnlySpan<byte> message)
    {
        string key = "", value = "";
        for (var attribute = new ProtobufReader(message); attribute.Next();)
            if (attribute.Field == 1) key = string.Intern(attribute.ReadString());
            else if (attribute.Field == 2) value = ReadValue(attribute.ReadBytes());
            else attribute.Skip();
        return new(key, value);
    }

    /// <summary>AnyValue, as text.</summary>
    static string ReadValue(ReadOnlySpan<byte> message)
    {
        var text = "";
        for (var value = new ProtobufReader(message); value.Next();)
            switch (value.Field)
            {
                case 1: text = value.ReadString(); break;
                case 2: text = value.ReadVarint() != 0 ? "true" : "false"; break;
                case 3: text = ((long)value.ReadVarint()).ToString(CultureInfo.InvariantCulture); break;
                case 4: text = value.ReadDouble().ToString(CultureInfo.InvariantCulture); break;
                case 5:
                    var list = new StringBuilder();
                    for (var items = new ProtobufReader(value.ReadBytes()); items.Next();)
                        if (items.Field == 1) list.Append(list.Length > 0 ? ", " : "").Append(ReadValue(items.ReadBytes()));
                        else items.Skip();
                    text = list.ToString();
                    break;
                default: value.Skip(); break;
            }
        return text.Length > MaxText ? text[..MaxText] + "…" : text;
    }

    /// <summary>No attribute or message is kept longer than this.</summary>
    const int MaxText = 4 * 1024;
}

/// <summary>A span. Times are in nanoseconds, the start since the Unix epoch.</summary>
sealed record Span(string TraceId, string Id, string ParentId, string Name, string Kind, string Service, string Instance, string Scope,
    ulong Start, ulong Duration, bool IsError, IReadOnlyList<KeyValuePair<string, string>> Attributes)
{
    /// <summary>About how many bytes it takes in memory.</summary>
    public int Size => 300 + 2 * (Name.Length + 64) + Attributes.Sum(attribute => 2 * attribute.Value.Length + 40);
}

/// <summary>A log record; its time is in nanoseconds since the Unix epoch.</summary>
sealed record LogRecord(ulong Time, string Level, string Service, string Category, string Message, string TraceId, string SpanId,
    IReadOnlyList<KeyValuePair<string, string>> Attributes)
{
    /// <summary>About how many bytes it takes in memory.</summary>
    public int Size => 250 + 2 * Message.Length + Attributes.Sum(attribute => 2 * attribute.Value.Length + 40);
}

/// <summary>A point of an instrument: of a sum its value, of a histogram its count and buckets.</summary>
sealed record MetricPoint(Otlp.Source Source, string Name, ulong Start, ulong Time, double Value, ulong[] BucketCounts, double[] Bounds,
    IReadOnlyList<KeyValuePair<string, string>> Attributes);
