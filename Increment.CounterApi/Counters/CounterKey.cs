namespace Increment.CounterApi.Counters;

/// <summary>Which counter.</summary>
/// <param name="Owner">The <see cref="ServiceDefaults.Tokens.Principal.UserId"/> of the user whose it is.</param>
/// <param name="Name">Its name, unique for the owner; valid according to <see cref="CounterName"/>.</param>
readonly record struct CounterKey(string Owner, string Name);
