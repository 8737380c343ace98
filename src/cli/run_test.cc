// The whole program against a daemon that answers as the test says.
#include "cli/run.h"

#include <csignal>

#include <gtest/gtest.h>

#include "cli/fake_daemon_test.h"
#include "cli/interrupt.h"

namespace brindle::cli {

namespace {

const std::string db = R"({"name":"db","uuid":"u-1","size":1610612736,"origin":"","created":"2026-11-24T16:05:09Z",)"
                       R"("referenced":4096,"exclusive":null,"clients":0,"labels":{"env":"test"}})";
const std::string monday =
    R"({"name":"db@monday","volume":"db","uuid":"u-2","size":1610612736,"origin":"","created":"2026-11-24T16:05:09Z",)"
    R"("referenced":4096,"exclusive":0,"clients":0,"labels":{},"protected":true})";

class Run : public ::testing::Test {
 protected:
  Outcome brindle(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--state", daemon.folder()});
    return run(arguments, {.out_utf8 = true});
  }
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  FakeDaemon daemon;
};

using Asked = std::vector<std::string>;

}  // namespace

TEST_F(Run, create_sends_the_size_in_bytes_and_says_what_there_is_now) {
  daemon.answer("POST /v1/volumes", 201, db);
  const Outcome outcome =
      brindle({"volume", "create", "db", "--size", "1536M", "--label", "env=test", "--if-not-exists"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "db: a volume of 1.5 GiB\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(daemon.asked(),
            Asked{R"(POST /v1/volumes {"name":"db","size":1610612736,"labels":{"env":"test"},"if_not_exists":true})"});
}

TEST_F(Run, json_is_the_daemons_document_wherever_the_option_stands) {
  daemon.answer("GET /v1/volumes", 200, "[" + db + "]");
  const Outcome before = brindle({"--json", "volume", "list"});
  const Outcome after = brindle({"volume", "list", "--json"});
  EXPECT_EQ(before.out, after.out);
  EXPECT_EQ(Json::parse(after.out), Json::parse("[" + db + "]"));
}

TEST_F(Run, the_state_folder_may_stand_behind_the_verb) {
  daemon.answer("GET /v1/volumes", 200, "[]");
  EXPECT_EQ(run({"volume", "list", "--state", daemon.folder()}, {}).exit, 0);
  EXPECT_EQ(run({"volume", "--state=" + daemon.folder(), "list"}, {}).exit, 0);
}

TEST_F(Run, help_for_a_verb_that_there_is_not_is_wrong_usage) {
  const Outcome outcome = brindle({"attahc", "--help"});
  EXPECT_EQ(outcome.exit, 2);
  EXPECT_NE(outcome.err.find("attach"), std::string::npos) << outcome.err;
  EXPECT_EQ(brindle({"attach", "--help"}).exit, 0);
}

TEST_F(Run, list_is_an_aligned_table_and_nothing_where_there_is_nothing) {
  daemon.answer("GET /v1/volumes", 200, "[" + db + "]");
  EXPECT_EQ(brindle({"volume", "list"}).out,
            "NAME     SIZE  REFERENCED  CREATED              LABELS\n"
            "db    1.5 GiB     4.0 KiB  2026-11-24 16:05:09  env=test\n");
  daemon.answer("GET /v1/volumes", 200, "[]");
  EXPECT_EQ(brindle({"volume", "list"}).out, "");
  EXPECT_EQ(brindle({"volume", "list", "--json"}).out, "[]\n");
}

TEST_F(Run, lists_filter_sort_and_page) {
  daemon.answer("GET /v1/snapshots", 200, "[]");
  brindle({"snapshot", "list", "db", "--label", "a=b c", "--label", "k=", "--sort", "created", "--reverse", "--limit",
           "10", "--offset", "5"});
  EXPECT_EQ(
      daemon.asked(),
      Asked{"GET /v1/snapshots?label=a%3Db%20c&label=k%3D&sort=created&reverse=true&limit=10&offset=5&volume=db"});
}

TEST_F(Run, label_does_not_swallow_the_argument_behind_its_value) {
  daemon.answer("POST /v1/snapshots", 201, "[]");
  EXPECT_EQ(brindle({"snapshot", "create", "--label", "a=b", "db@x", "--label", "c=d", "web@x"}).exit, 0);
  EXPECT_EQ(daemon.asked(), Asked{R"(POST /v1/snapshots {"names":["db@x","web@x"],"labels":{"a":"b","c":"d"}})"});
}

TEST_F(Run, show_counts_and_gives_exact_bytes) {
  daemon.answer("GET /v1/snapshots/db@monday?measure=true", 200, monday);
  EXPECT_EQ(brindle({"snapshot", "show", "db@monday"}).out,
            "name        db@monday\nuuid        u-2\nsize        1.5 GiB (1610612736 bytes)\nreferenced  4.0 KiB (4096 "
            "bytes)\n"
            "exclusive   0 B\ncreated     2026-11-24 16:05:09\nclients     0\nprotected   yes\n");
}

TEST_F(Run, a_volume_may_be_called_like_a_verb) {
  daemon.answer("GET /v1/volumes/list", 200, db);
  daemon.answer("POST /v1/delete", 200, R"({"deleted":["volume","list","show"]})");
  EXPECT_EQ(brindle({"volume", "show", "list"}).exit, 0);
  EXPECT_EQ(brindle({"delete", "volume", "list", "show"}).out, "deleted volume, list and show\n");
}

TEST_F(Run, resize_waits_with_a_sync) {
  daemon.answer("PATCH /v1/volumes/db", 200, db);
  daemon.answer("POST /v1/sync", 200, "{}");
  EXPECT_EQ(brindle({"volume", "resize", "db", "1536M", "--force", "--wait"}).out, "db has 1.5 GiB now\n");
  EXPECT_EQ(daemon.asked(), (Asked{R"(PATCH /v1/volumes/db {"size":1610612736,"force":true})", "POST /v1/sync {}"}));
}

TEST_F(Run, label_asks_for_the_changes_alone) {
  daemon.answer("PATCH /v1/volumes/db", 200, R"({"name":"db","labels":{"env":"prod"}})");
  EXPECT_EQ(brindle({"volume", "label", "db", "env=prod", "owner-"}).out, "db: env=prod\n");
  EXPECT_EQ(daemon.asked(), (Asked{R"(PATCH /v1/volumes/db {"set_labels":{"env":"prod"},"remove_labels":["owner"]})"}));
}

TEST_F(Run, protect_and_rename_say_what_is_so_now) {
  daemon.answer("PATCH /v1/snapshots/db@monday", 200, monday);
  EXPECT_EQ(brindle({"snapshot", "protect", "db@monday"}).out, "db@monday is protected now\n");
  EXPECT_EQ(brindle({"snapshot", "unprotect", "db@monday"}).out, "db@monday is no longer protected\n");
  EXPECT_EQ(brindle({"snapshot", "rename", "db@monday", "monday"}).out, "db@monday is db@monday now\n");
  EXPECT_EQ(daemon.asked(), (Asked{R"(PATCH /v1/snapshots/db@monday {"protected":true})",
                                   R"(PATCH /v1/snapshots/db@monday {"protected":false})",
                                   R"(PATCH /v1/snapshots/db@monday {"name":"monday"})"}));
}

TEST_F(Run, clone_makes_as_many_as_names) {
  daemon.answer("POST /v1/clones", 201, R"([{"name":"a","size":4096},{"name":"b","size":4096}])");
  EXPECT_EQ(brindle({"clone", "db@monday", "a", "b"}).out,
            "a: a clone of db@monday, 4.0 KiB\nb: a clone of db@monday, 4.0 KiB\n");
  EXPECT_EQ(daemon.asked(), Asked{R"(POST /v1/clones {"source":"db@monday","names":["a","b"]})"});
}

TEST_F(Run, rollback_names_what_it_saved) {
  daemon.answer("POST /v1/rollback", 200, R"({"saved":["db@before-rollback-1"]})");
  EXPECT_EQ(brindle({"rollback", "db@monday"}).out, "db is back at db@monday; what it held is db@before-rollback-1\n");
  daemon.answer("POST /v1/rollback", 200, R"({"saved":[]})");
  EXPECT_EQ(brindle({"rollback", "db@monday", "--discard", "--force", "--wait"}).out, "db is back at db@monday\n");
  EXPECT_EQ(daemon.asked().back(),
            R"(POST /v1/rollback {"snapshots":["db@monday"],"discard":true,"force":true,"wait":true})");
}

TEST_F(Run, dry_run_tells_exact_bytes_and_never_waits) {
  daemon.answer("POST /v1/delete", 200, R"({"names":["db@monday"],"frees":1610612736})");
  EXPECT_EQ(brindle({"delete", "--dry-run", "--wait", "db@monday"}).out,
            "deleting db@monday would free 1610612736 bytes (1.5 GiB)\n");
  EXPECT_EQ(daemon.asked(), Asked{R"(POST /v1/delete {"names":["db@monday"],"dry_run":true})"});
  EXPECT_EQ(Json::parse(brindle({"delete", "--dry-run", "db@monday", "--json"}).out).at("frees"), 1610612736);
}

TEST_F(Run, diff_is_a_table_with_a_sum) {
  daemon.answer("GET /v1/diff?from=db%40monday&to=db", 200,
                R"([{"offset":0,"length":4096,"kind":"data"},{"offset":1048576,"length":8192,"kind":"zero"}])");
  EXPECT_EQ(brindle({"diff", "db@monday", "db"}).out,
            " OFFSET  LENGTH  KIND\n      0    4096  data\n1048576    8192  zero\n12.0 KiB in 2 ranges\n");
  daemon.answer("GET /v1/diff", 200, "[]");
  EXPECT_EQ(brindle({"diff", "db@monday", "db"}).out, "db@monday and db hold the same\n");
}

TEST_F(Run, space_of_many_names_is_asked_for_in_parts) {
  daemon.answer("GET /v1/space", 200, R"([{"name":"x","kind":"volume","size":4096,"referenced":0,"exclusive":0}])");
  std::vector<std::string> arguments{"space", "--json"};
  for (int i = 0; i < 120; ++i) arguments.push_back(fmt::format("v{}", i));
  EXPECT_EQ(Json::parse(brindle(arguments).out).size(), 3u);
  EXPECT_EQ(daemon.asked().size(), 3u);
}

TEST_F(Run, status_says_health_space_and_traffic) {
  daemon.answer(
      "GET /v1/status", 200,
      R"({"version":"0.1.0","uptime_s":7265,"pid":7,"pool":{"path":"/p","health":"ok","size":1073741824,"used":4096,"reclaiming":0,)"
      R"("free":1073737728,"allocated":8388608,"volumes":1,"snapshots":2},"cache":{"bytes":0,"memory_max":268435456,"hits":3,"misses":1},)"
      R"("io":{"reads":1,"read_bytes":4096,"writes":2,"write_bytes":8192},"rates":{"reads_s":0.5,"writes_s":1000.2},)"
      R"("log":{"bytes":512},"nbd":{"connections":1,"sockets":["/s/nbd.sock"]}})");
  const std::string out = brindle({"status"}).out;
  EXPECT_NE(out.find("health     ok\n"), std::string::npos) << out;
  EXPECT_NE(out.find("holds      1 volume, 2 snapshots\n"), std::string::npos) << out;
  EXPECT_NE(out.find("75.0 % hits"), std::string::npos) << out;
  EXPECT_NE(out.find("nbd        1 connection on /s/nbd.sock\n"), std::string::npos) << out;
  EXPECT_NE(out.find("up 2 h 1 min"), std::string::npos) << out;
  EXPECT_EQ(out.find("reclaiming"), std::string::npos) << out;
}

TEST_F(Run, pool_shows_and_grows) {
  daemon.answer("GET /v1/pool", 200, R"({"path":"/p","health":"ok","size":4096})");
  daemon.answer("POST /v1/pool/grow", 200, R"({"size":214748364800,"free":1073741824})");
  const std::string one = brindle({"pool", "show"}).out;
  EXPECT_NE(one.find("pool       /p\n"), std::string::npos) << one;
  daemon.answer(
      "GET /v1/pool", 200,
      R"({"path":"/a + /b","members":[{"path":"/a","size":8192,"allocated":4096},{"path":"/b","size":4096,"allocated":0}]})");
  const std::string several = brindle({"pool", "show"}).out;
  EXPECT_NE(several.find("/a, 4.0 KiB of 8.0 KiB allocated\n"), std::string::npos) << several;
  EXPECT_NE(several.find("/b, 0 B of 4.0 KiB allocated\n"), std::string::npos) << several;
  EXPECT_EQ(brindle({"pool", "grow", "200G"}).out, "the pool may grow to 200 GiB, 1.0 GiB of it free\n");
  EXPECT_EQ(daemon.asked().back(), R"(POST /v1/pool/grow {"size":214748364800})");
}

TEST_F(Run, scrub_without_damage_ends_with_0) {
  daemon.answer("POST /v1/scrub", 202, R"({"running":true,"done":0,"total":8192,"error":"","damage":[]})");
  daemon.answer("GET /v1/scrub", 200, R"({"running":false,"done":8192,"total":8192,"error":"","damage":[]})");
  const Outcome outcome = brindle({"scrub"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "nothing is wrong, 8.0 KiB read\n");
  EXPECT_EQ(Json::parse(brindle({"scrub", "--json"}).out), Json::parse(R"({"read":8192,"damage":[]})"));
}

TEST_F(Run, damage_is_named_with_its_holders_and_ends_with_1) {
  daemon.answer("POST /v1/check", 202, "{}");
  daemon.answer(
      "GET /v1/check", 200,
      R"({"running":false,"done":1,"total":1,"error":"","damage":[{"volume":"db@monday","offset":8192,"length":4096,"kind":"checksum"},)"
      R"({"volume":"db","offset":8192,"length":4096,"kind":"checksum"},{"volume":"","offset":0,"length":0,"kind":"table"}]})");
  const Outcome outcome = brindle({"check"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out,
            "damaged: 0 B at offset 0 (table), of the pool itself\n"
            "damaged: 4.0 KiB at offset 8192 (checksum), held by db and db@monday\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(Json::parse(brindle({"check", "--json"}).out).at("damage").size(), 3u);
}

TEST_F(Run, tidy_tells_what_it_moved_and_what_snapshots_keep_where_it_is) {
  daemon.answer("POST /v1/tidy", 202, R"({"running":true,"done":0,"total":8192,"error":"","rewritten":0,"shared":0})");
  daemon.answer("GET /v1/tidy", 200,
                R"({"running":false,"done":8192,"total":8192,"error":"","rewritten":8192,"shared":4096})");
  EXPECT_EQ(brindle({"tidy", "db"}).out,
            "8.0 KiB written again, in order; 4.0 KiB are scattered and stay so, since snapshots hold them\n");
  EXPECT_EQ(Json::parse(brindle({"tidy", "--json"}).out),
            Json::parse(R"({"read":8192,"rewritten":8192,"shared":4096})"));
  EXPECT_EQ(brindle({"tidy", "db@s"}).exit, 1);
}

TEST_F(Run, a_scrub_that_fails_or_runs_already_is_refused) {
  daemon.refuse("POST /v1/scrub", 409, "busy", "a scrub is under way: wait for its end");
  EXPECT_EQ(brindle({"scrub"}).err, "brindle: scrub: a scrub is under way: wait for its end\n");
  daemon.answer("POST /v1/scrub", 202, "{}");
  daemon.answer("GET /v1/scrub", 200, R"({"running":false,"error":"the pool is closing","damage":[]})");
  const Outcome outcome = brindle({"scrub"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.err, "brindle: scrub: the pool is closing\n");
}

TEST_F(Run, a_scrub_that_is_another_one_by_now_has_found_nothing) {
  daemon.answer("POST /v1/scrub", 202, R"({"id":"one","running":true,"done":0,"total":100,"error":"","damage":[]})");
  // The daemon was started again: it knows of none.
  daemon.answer("GET /v1/scrub", 200, R"({"id":"","running":false,"done":0,"total":0,"error":"","code":"","damage":[]})");
  const Outcome outcome = brindle({"scrub", "--json"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("cancelled"), std::string::npos) << outcome.err;
  daemon.answer("GET /v1/scrub", 200, R"({"id":"one","running":false,"error":"the pool is full","code":"no_space","damage":[]})");
  EXPECT_NE(brindle({"scrub", "--json"}).err.find("no_space"), std::string::npos);
}

TEST_F(Run, an_interrupted_scrub_ends_the_job_it_started) {
  daemon.answer("POST /v1/scrub", 202, "{}");
  daemon.answer("GET /v1/scrub", 200, R"({"running":true,"done":1,"total":100,"error":"","damage":[]})");
  daemon.answer("DELETE /v1/scrub", 200, "{}");
  daemon.on_request = [](const std::string& line) {
    if (line.starts_with("GET")) note_interrupt(SIGINT);
  };
  const Outcome outcome = brindle({"scrub"});
  EXPECT_EQ(outcome.exit, 130);
  EXPECT_EQ(outcome.out + outcome.err, "");
  EXPECT_EQ(daemon.asked().back(), "DELETE /v1/scrub");
}

TEST_F(Run, a_refusal_is_one_line_with_the_daemons_words) {
  daemon.refuse("POST /v1/delete", 409, "protected", "db@monday is protected: unprotect it first");
  const Outcome outcome = brindle({"snapshot", "delete", "db@monday"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "brindle: snapshot delete: db@monday is protected: unprotect it first\n");
  const Outcome json = brindle({"snapshot", "delete", "db@monday", "--json"});
  EXPECT_EQ(json.exit, 1);
  EXPECT_EQ(json.out, "");
  EXPECT_EQ(json.err,
            "{\"error\":{\"code\":\"protected\",\"message\":\"db@monday is protected: unprotect it first\"}}\n");
}

TEST_F(Run, malformed_names_and_sizes_are_refused_before_anything_is_sent) {
  const std::vector<std::vector<std::string>> wrong{{"volume", "create", "a b", "--size", "4096"},
                                                    {"volume", "create", "db", "--size", "5000"},
                                                    {"volume", "create", "db", "--size", "0"},
                                                    {"volume", "create", "db", "--size", "1.5G"},
                                                    {"volume", "create", "db", "--size", "-1"},
                                                    {"volume", "create", "db", "--size", "1025T"},
                                                    {"volume", "create", "db@x", "--size", "4096"},
                                                    {"volume", "show", ".hidden"},
                                                    {"snapshot", "create", "db"},
                                                    {"snapshot", "create", "db@"},
                                                    {"snapshot", "create", "[db@a,db@b]"},
                                                    {"delete", "[db]"},
                                                    {"volume", "resize", "db", "1g"},
                                                    {"clone", "db", "new@x"},
                                                    {"rollback", "db"},
                                                    {"pool", "grow", "5"},
                                                    {"volume", "label", "db", "x"},
                                                    {"snapshot", "create", "db@x", "--label", "x"},
                                                    {"volume", "list", "--label", "=x"},
                                                    {"diff", "db", ""},
                                                    {"space", "a/b"},
                                                    {"volume", "delete", "db@x"},
                                                    {"snapshot", "delete", "db"},
                                                    {"snapshot", "protect", "db"}};
  for (const auto& arguments : wrong) {
    const Outcome outcome = brindle(arguments);
    EXPECT_EQ(outcome.exit, 1) << fmt::format("{}: {}", fmt::join(arguments, " "), outcome.err);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("brindle: " + arguments[0])) << outcome.err;
    auto with_json = arguments;
    with_json.insert(with_json.begin(), "--json");
    EXPECT_EQ(Json::parse(brindle(with_json).err).at("error").at("code"), "invalid");
  }
  EXPECT_EQ(daemon.asked(), Asked{});
}

TEST_F(Run, wrong_usage_is_one_line_and_ends_with_2) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
      {{}, "brindle: a verb is missing, one of volume, "},
      {{"volume"},
       "brindle: volume: a verb is missing, one of create, list, show, resize, rename, label, delete: see `brindle "
       "volume --help`"},
      {{"volum"}, "brindle: there is no verb volum, perhaps volume is meant: see"},
      {{"volume", "crate"}, "brindle: volume: there is no verb crate, perhaps create is meant: see"},
      {{"volume", "create"},
       "brindle: volume create: NAME is missing: type `brindle volume create NAME --size SIZE [options]`"},
      {{"volume", "create", "db"},
       "brindle: volume create: --size is missing: type `brindle volume create NAME --size SIZE [options]`"},
      {{"volume", "create", "db", "--size"}, "brindle: volume create: --size needs a value: type"},
      {{"volume", "create", "db", "--sise", "1G"},
       "brindle: volume create: there is no option --sise, perhaps --size is meant: type"},
      {{"volume", "list", "--sort", "colour"},
       "brindle: volume list: --sort: colour is none of name,size,created,referenced,exclusive: type"},
      {{"volume", "list", "--limit", "many"}, "brindle: volume list: --limit: many is no whole number: type"},
      {{"volume", "list", "--limit", "-1"}, "brindle: volume list: --limit: -1 is no whole number: type"},
      {{"status", "extra"}, "brindle: status: extra is one argument too many: type `brindle status`"},
      {{"volume", "rename", "a", "b", "c"}, "brindle: volume rename: c is one argument too many"},
      {{"clone", "db"}, "brindle: clone: NEW is missing"},
      {{"tree", "-x"}, "brindle: tree: there is no option -x"},
      {{"status", "--json=maybe"}, "brindle: status: "},
      {{"completion", "tcsh"}, "brindle: completion: "}};
  for (const auto& [arguments, line] : wrong) {
    const Outcome outcome = brindle(arguments);
    EXPECT_EQ(outcome.exit, 2) << fmt::format("{}: {}", fmt::join(arguments, " "), outcome.err);
    EXPECT_TRUE(outcome.err.starts_with(line)) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    auto with_json = arguments;
    with_json.insert(with_json.begin(), "--json");
    if (arguments.empty() || arguments.back() != "--json=maybe") {
      EXPECT_EQ(Json::parse(brindle(with_json).err).at("error").at("code"), "usage")
          << fmt::format("{}", fmt::join(with_json, " "));
    }
  }
  EXPECT_EQ(brindle({"--state", "", "status"}).exit, 2);
  EXPECT_EQ(daemon.asked(), Asked{});
}

TEST_F(Run, without_a_daemon_it_ends_with_3_and_says_how_to_start_one) {
  const Outcome outcome = run({"--state", "/tmp/cli-nowhere", "status"}, {});
  EXPECT_EQ(outcome.exit, 3);
  EXPECT_EQ(
      outcome.err,
      "brindle: status: no daemon answers on /tmp/cli-nowhere/control.sock (there is no such socket): start one with "
      "`brindled --state /tmp/cli-nowhere`, or `./dev up` in a checkout\n");
  EXPECT_EQ(Json::parse(run({"--state", "/tmp/cli-nowhere", "status", "--json"}, {}).err).at("error").at("code"),
            "no_daemon");
}

TEST_F(Run, a_daemon_that_goes_away_before_it_answered_is_no_success) {
  daemon.hang_up();
  const Outcome outcome = brindle({"volume", "delete", "db"});
  EXPECT_EQ(outcome.exit, 3);
  EXPECT_NE(outcome.err.find("went away before it answered"), std::string::npos);
}

TEST_F(Run, a_path_too_long_for_a_socket_is_refused_with_a_way_out) {
  const Outcome outcome = run({"--state", "/tmp/" + std::string(120, 'x'), "status"}, {});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("is too long for a socket"), std::string::npos) << outcome.err;
}

TEST_F(Run, an_answer_that_makes_no_sense_is_an_error_and_not_a_crash) {
  daemon.answer("GET /v1/volumes", 200, "<html>");
  EXPECT_EQ(brindle({"volume", "list"}).exit, 1);
  daemon.answer("POST /v1/delete", 200, R"({"deleted":7})");
  EXPECT_EQ(brindle({"delete", "db"}).exit, 1);
  daemon.answer("GET /v1/status", 500, "");
  EXPECT_EQ(brindle({"status"}).err, "brindle: status: the daemon answered with HTTP status 500: look at its log\n");
  daemon.refuse("GET /v1/tree", 500, "io", "two\\nlines\\u001b[31m");
  EXPECT_EQ(brindle({"tree"}).err, "brindle: tree: two lines [31m\n");
}

TEST_F(Run, completion_names_what_there_is_and_is_silent_without_a_daemon) {
  daemon.answer("GET /v1/volumes", 200, R"([{"name":"db"},{"name":"dev"},{"name":"web"}])");
  daemon.answer("GET /v1/snapshots?volume=db", 200, R"([{"name":"db@monday"},{"name":"db@tuesday"}])");
  EXPECT_EQ(brindle({"__complete", "volume", "d"}).out, "db\ndev\n");
  EXPECT_EQ(brindle({"__complete", "volume@", "w"}).out, "web@\n");
  EXPECT_EQ(brindle({"__complete", "snapshot", "db@m"}).out, "db@monday\n");
  EXPECT_EQ(brindle({"__complete", "any", "--", "db@"}).out, "db@monday\ndb@tuesday\n");
  const Outcome outcome = run({"--state", "/tmp/cli-nowhere", "__complete", "any", ""}, {});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out + outcome.err, "");
}

}  // namespace brindle::cli
