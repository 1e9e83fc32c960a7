import Foundation
import Glibc
import VecDB

/// A file with a secret in it, which not everybody may read.
enum SecretFile {
  /// Its first line, without what ends it.
  static func firstLine(of path: String, _ what: String, remedy: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw VecDBError(.notFound, "cannot read the \(what)", at: path, remedy: remedy)
    }
    let line = data.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    guard let text = String(data: line, encoding: .utf8), !text.isEmpty else {
      throw VecDBError(
        .invalidArgument, "the first line of the \(what) is empty or not UTF-8", at: path,
        remedy: remedy)
    }
    var found = stat()
    guard stat(path, &found) == 0, found.st_mode & S_IROTH != 0 else { return text }
    throw VecDBError(
      .invalidArgument, "every user of this machine may read the \(what)", at: path,
      remedy: "Run `chmod 600` on it, and use another secret if others may have read it.")
  }
}
