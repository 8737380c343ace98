#include "serve/attach/records.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace brindle::attach {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t uuid_length = 36;
constexpr unsigned retry_us = 20'000, look_us = 5'000;
constexpr std::chrono::milliseconds kill_patience{2000};

std::optional<json> read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) return {};
  std::stringstream text;
  text << file.rdbuf();
  json parsed = json::parse(text.str(), nullptr, false);
  if (!parsed.is_object()) return {};
  return parsed;
}

/// A reader finds the old or the new one, never a part.
Status write_json(const std::string& path, const json& what) {
  const std::string fresh = path + ".new";
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << what.dump() << '\n';
    file.flush();
    if (!file) return Error{Code::io, fmt::format("{}: cannot be written: {}", fresh, std::strerror(errno))};
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return Error{Code::io, fmt::format("{}: cannot be written: {}", path, std::strerror(errno))};
  }
  return {};
}

}  // namespace

Status Place::create() const {
  std::error_code error;
  fs::create_directories(disk(), error);
  if (error) return Error{Code::io, fmt::format("{}: cannot be made: {}", disk(), error.message())};
  return {};
}

void Place::remove() const {
  // Never through a mount that is still there: by name and one level deep, not recursively.
  ::rmdir(disk().c_str());
  for (const std::string& path : {alive(), record(), server(), log(), record() + ".new", server() + ".new"}) {
    ::unlink(path.c_str());
  }
  ::rmdir(base_.c_str());
  ::unlink(lock().c_str());
}

std::optional<Record> Place::read_record() const {
  const auto read = read_json(record());
  if (!read) return {};
  Record out;
  out.name = read->value("name", "");
  out.uuid = read->value("uuid", uuid_);
  out.driver = read->value("driver", "loop");
  out.device = read->value("device", "");
  out.file_name = read->value("file_name", "");
  out.mount = read->value("mount", "");
  out.read_only = read->value("read_only", false);
  return out;
}

Status Place::write_record(const Record& what) const {
  return write_json(record(), {{"name", what.name}, {"uuid", what.uuid}, {"driver", what.driver},
                               {"device", what.device}, {"file_name", what.file_name}, {"mount", what.mount},
                               {"read_only", what.read_only}});
}

std::optional<ServerState> Place::read_server() const {
  const auto read = read_json(server());
  if (!read) return {};
  ServerState out;
  out.pid = read->value("pid", 0);
  out.name = read->value("name", "");
  out.size = read->value("size", u64{0});
  out.connected = read->value("connected", false);
  return out;
}

Status Place::write_server(const ServerState& what) const {
  return write_json(server(), {{"pid", what.pid}, {"name", what.name}, {"size", what.size}, {"connected", what.connected}});
}

bool Place::is_alive() const {
  const Fd file(::open(alive().c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return false;
  // A shared lock, so that two who look at once do not take each other for the process.
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Result<Fd> Place::hold_alive() const {
  Fd file(::open(alive().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));  // anybody may look
  if (!file.ok()) return Error{Code::io, fmt::format("{}: {}", alive(), std::strerror(errno))};
  // Someone who looks holds it for a moment.
  for (int tries = 0; tries < 100; ++tries) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
    ::usleep(retry_us);
  }
  return Error{Code::busy, "another process serves it already"};
}

bool Place::wait_for_end(std::chrono::milliseconds patience) const {
  for (const auto until = std::chrono::steady_clock::now() + patience; is_alive(); ::usleep(look_us)) {
    if (std::chrono::steady_clock::now() > until) return false;
  }
  return true;
}

void Place::kill(pid_t pid) const {
  if (pid > 0 && is_alive()) ::kill(pid, SIGKILL);
  wait_for_end(kill_patience);
}

std::string attach_folder(const std::string& state_dir) {
  return (fs::absolute(state_dir).lexically_normal() / "attach").string();
}

std::vector<Place> places(const std::string& attach_folder) {
  std::vector<Place> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(attach_folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.size() == uuid_length && entry.is_directory(error)) out.emplace_back(attach_folder, name);
  }
  std::sort(out.begin(), out.end(), [](const Place& a, const Place& b) { return a.uuid() < b.uuid(); });
  return out;
}

Result<Fd> lock_place(const Place& place, int patience_ms) {
  for (int waited_ms = 0;; waited_ms += static_cast<int>(retry_us / 1000)) {
    Fd file(::open(place.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.ok()) return Error{Code::io, fmt::format("{}: {}", place.lock(), std::strerror(errno))};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      // Its last holder may have removed the name meanwhile; then this lock excludes nobody.
      struct stat held {}, named {};
      if (::fstat(file.get(), &held) == 0 && ::stat(place.lock().c_str(), &named) == 0 && held.st_ino == named.st_ino) {
        return file;
      }
    } else if (waited_ms >= patience_ms) {
      return Error{Code::busy, "another command attaches or detaches it at this moment: wait for that one"};
    }
    ::usleep(retry_us);
  }
}

}  // namespace brindle::attach
