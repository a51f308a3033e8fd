using System.Runtime.Versioning;
using Aspire.Hosting;
using Increment.AppHost;
using AppHostStorage = Increment.AppHost.Storage;

namespace Increment.Tests.Hosting;

/// <summary>The choice of the engine that keeps the data. A container engine that appears or disappears never makes the counters start over.</summary>
[Trait("Category", "System")]
public sealed class StorageTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-storage-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData(true, true), InlineData(false, false)]
    public void The_first_start_uses_containers_if_an_engine_answers(bool engineAnswers, bool takesContainers) =>
        Assert.Equal(takesContainers, Choose(engineAnswers).UseContainers);

    [Fact]
    public void A_container_engine_that_appears_does_not_replace_SQLite()
    {
        Choose(engineAnswers: false);

        Assert.False(Choose(engineAnswers: true).UseContainers);
    }

    [Fact]
    public void Files_of_a_version_that_recorded_no_engine_stay_in_use()
    {
        File.WriteAllText(Path.Combine(folder.FullName, "counter.db"), "");

        Assert.False(Choose(engineAnswers: true).UseContainers);
    }

    [Fact]
    public void If_the_container_engine_of_the_data_does_not_answer_the_AppHost_does_not_start()
    {
        Choose(engineAnswers: true);

        var refused = Assert.Throws<SettingException>(() => Choose(engineAnswers: false));
        Assert.Equal("The data is in containers, but no container runtime answers: start Docker or podman, or start without that data in SQLite files with --Increment:Storage:Engine=embedded.", refused.Message);
        Assert.True(Choose(engineAnswers: true).UseContainers);
    }

    [Theory]
    [InlineData(true, "embedded"), InlineData(false, "containers")]
    public void The_setting_overrides_the_recorded_engine_while_it_is_set(bool containersFirst, string setting)
    {
        Assert.Equal(containersFirst, Choose(engineAnswers: containersFirst).UseContainers);

        Assert.Equal(!containersFirst, Choose(engineAnswers: true, $"--Increment:Storage:Engine={setting}").UseContainers);
        Assert.Equal(containersFirst, Choose(engineAnswers: true).UseContainers);
    }

    [Theory]
    [InlineData("embedded", false), InlineData("containers", true)]
    public void The_engine_of_the_first_start_is_kept_when_a_setting_chose_it(string setting, bool containers)
    {
        Choose(engineAnswers: true, $"--Increment:Storage:Engine={setting}");

        Assert.Equal(containers, Choose(engineAnswers: true).UseContainers);
    }

    [Fact]
    public void Containers_chosen_by_a_setting_need_an_engine_that_answers()
    {
        var refused = Assert.Throws<SettingException>(() => Choose(engineAnswers: false, "--Increment:Storage:Engine=containers"));
        Assert.Equal("Increment:Storage:Engine is 'containers', but no container runtime answers: start Docker or podman, or remove the setting.", refused.Message);
    }

    [Fact]
    public void An_empty_connection_string_names_no_server() =>
        Assert.Equal(folder.FullName, Choose(engineAnswers: false, "--ConnectionStrings:increment=").Folder);

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_new_data_folder_is_accessible_only_to_its_owner()
    {
        folder.Delete();
        Choose(engineAnswers: false);

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder.FullName));
    }

    [Fact]
    public void A_connection_string_names_a_server_that_runs_elsewhere()
    {
        var storage = Choose(engineAnswers: true, "--ConnectionStrings:increment=mongodb://db.example.com/increment", "--ConnectionStrings:cache=redis.example.com");

        Assert.False(storage.UseContainers);
        Assert.Equal(("mongodb://db.example.com/increment", "redis.example.com"), (storage.StoreOf("auth"), storage.Cache));
        Assert.Empty(folder.EnumerateFileSystemInfos());
    }

    [Fact]
    public void A_record_that_names_no_engine_is_refused()
    {
        var record = Path.Combine(folder.FullName, "engine");
        File.WriteAllText(record, "mysql");

        Assert.Equal($"{record} contains 'mysql'; it must contain embedded or containers, whichever has the data.",
            Assert.Throws<SettingException>(() => Choose(engineAnswers: true)).Message);
    }

    AppHostStorage Choose(bool engineAnswers, params string[] arguments)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Needs the commands true and false, which Windows lacks.");
        return AppHostStorage.Choose(DistributedApplication.CreateBuilder(new DistributedApplicationOptions
        {
            AssemblyName = "Increment.AppHost",
            DisableDashboard = true,
            // In place of a container engine: a command that always succeeds or always fails.
            Args = [$"--ASPIRE_CONTAINER_RUNTIME={(engineAnswers ? "true" : "false")}", $"--Increment:Storage:Path={folder.FullName}", .. arguments],
        }));
    }
}
