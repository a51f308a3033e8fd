namespace Increment.CounterApi.Counters;

/// <summary>Identifies a counter.</summary>
/// <param name="Owner">The <see cref="ServiceDefaults.Tokens.Principal.UserId"/> of the owner.</param>
/// <param name="Name">The counter's name, unique per owner; valid according to <see cref="CounterName"/>.</param>
readonly record struct CounterKey(string Owner, string Name);
