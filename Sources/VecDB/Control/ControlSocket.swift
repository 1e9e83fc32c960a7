import Glibc
import VecDBFiles

/// The Unix socket in a database's directory: making one, and reaching one.
package enum ControlSocket {
  static let fileName = "control.sock"
  /// Bytes of a path that `sockaddr_un` holds, without the terminating zero.
  static let pathLimitBytes = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  /// A non-blocking listening socket, readable and writable by this user alone.
  ///
  /// A file that a dead process left is removed: the caller holds the database's lock, so that no
  /// living one can be listening.
  static func listen(in directory: String) throws -> Int32 {
    let path = directory + "/" + fileName
    guard unlink(path) == 0 || errno == ENOENT else {
      throw failure("remove the old control socket", path)
    }
    let descriptor = try open(at: path)
    do {
      // The mode that the socket has when it is bound is that of its file: nobody else can ever
      // connect, not even in the moment before a chmod.
      guard fchmod(descriptor, 0o600) == 0 else { throw failure("protect the socket", path) }
      try withAddress(in: directory) { address, length in
        guard bind(descriptor, address, length) == 0 else {
          throw failure("bind the control socket", path)
        }
      }
      guard chmod(path, 0o600) == 0 else { throw failure("protect the socket", path) }
      guard Glibc.listen(descriptor, 16) == 0 else { throw failure("listen", path) }
      guard setNonBlocking(descriptor) else { throw failure("set up the control socket", path) }
      return descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// The next connection that waits, non-blocking and not inherited by child processes; nil if none
  /// does.
  static func accept(_ listening: Int32) -> Int32? {
    while true {
      let peer = Glibc.accept(listening, nil, nil)
      if peer < 0 {
        if errno == EINTR || errno == ECONNABORTED { continue }
        return nil
      }
      if fcntl(peer, F_SETFD, FD_CLOEXEC) == 0, setNonBlocking(peer) { return peer }
      close(peer)
    }
  }

  private static func setNonBlocking(_ descriptor: Int32) -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0
  }

  /// A blocking connection to the process that listens; nil if none does.
  package static func connect(in directory: String) throws -> Int32? {
    let path = directory + "/" + fileName
    let descriptor = try open(at: path)
    do {
      let isConnected = try withAddress(in: directory) { address, length in
        while Glibc.connect(descriptor, address, length) != 0 {
          switch errno {
          case EINTR: continue
          case ENOENT, ECONNREFUSED: return false
          default: throw failure("connect to the control socket", path)
          }
        }
        return true
      }
      if isConnected { return descriptor }
      close(descriptor)
      return nil
    } catch {
      close(descriptor)
      throw error
    }
  }

  private static func open(at path: String) throws -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(AF_UNIX, kind, 0)
    guard descriptor >= 0 else { throw failure("make a socket", path) }
    return descriptor
  }

  /// Calls `body` with the socket's address. Where the path is longer than an address holds, it is
  /// named through the open directory, which needs `/proc`.
  private static func withAddress<Result>(
    in directory: String,
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
  ) throws -> Result {
    var path = directory + "/" + fileName
    var folder: Int32 = -1
    defer { if folder >= 0 { close(folder) } }
    if path.utf8.count > pathLimitBytes {
      folder = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      let alias = "/proc/self/fd/\(folder)"
      guard folder >= 0, access(alias, F_OK) == 0 else {
        throw VecDBError(
          .limitExceeded,
          "the path of the control socket has \(path.utf8.count) bytes; the system takes "
            + "\(pathLimitBytes)", at: path, remedy: "Keep the database under a shorter path.")
      }
      path = alias + "/" + fileName
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return try withUnsafePointer(to: &address) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        try body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  static func failure(_ operation: String, _ path: String) -> VecDBError {
    VecDBError(
      .inputOutput, "cannot \(operation): \(String(cString: strerror(errno)))", at: path)
  }
}
