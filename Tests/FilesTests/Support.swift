import Glibc
import Testing
import VecDBFiles

/// A directory of the operating system that lives as long as this value.
final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array("/tmp/vecdb-files-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw systemError(errno, "create a temporary directory", at: "/tmp")
    }
    path = template.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
  }

  deinit { try? PosixFileSystem().removeTree(path) }
}

func write(_ bytes: [UInt8], to file: any FileHandle, at offset: Int) throws {
  try bytes.withUnsafeBytes { try file.write($0, at: offset) }
}

/// Expects a `StoreError` of this kind that names this place.
func expect(
  _ kind: StoreError.Kind, at location: String,
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch let error as StoreError {
    #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
    #expect(error.location == location, "\(error)", sourceLocation: sourceLocation)
  } catch {
    Issue.record("\(error)", sourceLocation: sourceLocation)
  }
}
