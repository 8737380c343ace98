// fake_daemon_test.h: a control socket that answers as a test says and notes what it was asked.
//
// Only tests include it. It reads a request by hand, so that it shares no code with what it tests.
#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace brindle::cli {

class FakeDaemon {
 public:
  struct Rule {
    std::string begins;  // "GET /v1/volumes/db"
    unsigned status;
    std::string body;
  };

  FakeDaemon() {
    char pattern[] = "/tmp/cli-fake-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (folder_ + "/control.sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || ::listen(listener_, 16) != 0)
      std::abort();
    thread_ = std::thread([this] { serve(); });
  }
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;
  ~FakeDaemon() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    std::filesystem::remove_all(folder_);
  }

  const std::string& folder() const { return folder_; }
  /// Rules are tried from the latest to the first.
  void answer(const std::string& begins, unsigned status, const std::string& body) {
    const std::lock_guard lock(mutex_);
    rules_.push_back({begins, status, body});
  }
  void refuse(const std::string& begins, unsigned status, const std::string& code, const std::string& detail) {
    answer(begins, status,
           fmt::format(R"({{"type":"about:blank","title":"No","status":{},"detail":"{}","code":"{}"}})", status, detail,
                       code));
  }
  /// "POST /v1/volumes {...}", in order.
  std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  /// Answers nothing and hangs up.
  void hang_up() { hangs_up_ = true; }
  /// Called with each request, on the daemon's thread.
  std::function<void(const std::string&)> on_request;

 private:
  void serve() {
    for (;;) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      serve_one(fd);
      ::close(fd);
    }
  }

  void serve_one(int fd) {
    std::string bytes;
    size_t end = std::string::npos;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
      if (!more(fd, bytes)) return;
    }
    size_t length = 0;
    if (const size_t field = bytes.find("Content-Length: "); field != std::string::npos)
      length = std::stoul(bytes.substr(field + 16));
    while (bytes.size() < end + 4 + length) {
      if (!more(fd, bytes)) return;
    }
    const std::string line = bytes.substr(0, bytes.find(" HTTP/1.1"));
    const std::string body = bytes.substr(end + 4);
    Rule found{"", 404, R"({"detail":"no rule for this","code":"not_found"})"};
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(body.empty() ? line : line + " " + body);
      for (const auto& rule : rules_) {
        if (line.starts_with(rule.begins)) found = rule;
      }
    }
    if (on_request) on_request(line);
    if (hangs_up_) return;
    // In two chunks, as a long list comes.
    const size_t half = found.body.size() / 2;
    std::string text = fmt::format(
        "HTTP/1.1 {} Fine\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", found.status);
    for (const std::string& piece : {found.body.substr(0, half), found.body.substr(half)}) {
      if (!piece.empty()) text += fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
    }
    text += "0\r\n\r\n";
    if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) return;
  }

  static bool more(int fd, std::string& bytes) {
    char buffer[4096];
    const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
    if (n > 0) bytes.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }

  std::string folder_;
  int listener_ = -1;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<Rule> rules_;
  std::vector<std::string> asked_;
  std::atomic<bool> hangs_up_ = false;
};

}  // namespace brindle::cli
