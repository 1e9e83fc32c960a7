import Glibc
import VecDB

/// A `gzip -dc` that decompresses an open file into a pipe.
final class GzipProcess {
  /// The reading end of the pipe that the decompressed bytes come from.
  let output: Int32
  private let path: String
  private let errors: Int32
  private var processID: pid_t
  private var finished = false

  /// Starts gzip on the file behind `compressed`, from its present position.
  init(compressed: Int32, path: String) throws {
    self.path = path
    var data: [Int32] = [-1, -1]
    var complaints: [Int32] = [-1, -1]
    guard Self.openPipe(&data) else { throw Self.cannotStart(errno, path) }
    guard Self.openPipe(&complaints) else {
      let code = errno
      for end in data { _ = Glibc.close(end) }
      throw Self.cannotStart(code, path)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, compressed, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, data[1], STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, complaints[1], STDERR_FILENO)
    // A process group of its own: Ctrl-C must stop the import after its batch, not gzip before it.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)

    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("gzip"), strdup("-dc"), nil]
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, "gzip", &actions, &attributes, &arguments, environ)
    _ = Glibc.close(data[1])
    _ = Glibc.close(complaints[1])
    guard code == 0 else {
      _ = Glibc.close(data[0])
      _ = Glibc.close(complaints[0])
      throw Self.cannotStart(code, path)
    }
    (output, errors, processID) = (data[0], complaints[0], child)
  }

  deinit {
    terminate()
    _ = Glibc.close(output)
    _ = Glibc.close(errors)
  }

  /// Waits for gzip after the last byte; throws if it found the file damaged or cut short.
  func finish() throws {
    guard !finished else { return }
    var text = [UInt8](repeating: 0, count: 4096)
    let count = text.withUnsafeMutableBytes { Glibc.read(errors, $0.baseAddress, $0.count) }
    let status = wait()
    // 0 is success, 2 a warning such as trailing zeros.
    let exited = status & 0x7f == 0
    let code = (status >> 8) & 0xff
    guard exited, code == 0 || code == 2 else {
      let words =
        String(decoding: text.prefix(max(0, count)), as: UTF8.self)
        .split(separator: "\n").map { $0.drop { $0 == " " } }.first { !$0.isEmpty } ?? ""
      throw VecDBError(
        .invalidArgument,
        words.isEmpty ? "cannot read the compressed file to its end" : String(words), at: path,
        remedy: "The file is damaged or cut short; fetch it again and check it with `gzip -t`.")
    }
  }

  /// Ends gzip if it still runs.
  func terminate() {
    guard !finished else { return }
    kill(processID, SIGKILL)
    _ = wait()
  }

  private func wait() -> Int32 {
    var status: Int32 = 0
    while waitpid(processID, &status, 0) < 0 && errno == EINTR {}
    finished = true
    return status
  }

  /// A pipe that children do not inherit.
  private static func openPipe(_ ends: inout [Int32]) -> Bool {
    guard pipe(&ends) == 0 else { return false }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return true
  }

  private static func cannotStart(_ code: Int32, _ path: String) -> VecDBError {
    VecDBError(
      .inputOutput, "cannot start gzip: \(errorText(code))", at: path,
      remedy: "Install gzip, or decompress the file first.")
  }
}
