import Glibc
import VecDBBytes

/// Where a copy of a database is, of the copies that there may be: on which machine, at which path.
///
/// Two copies are at one place at a time only in name: in containers of one image, host name and path.
/// No number of a file or a device tells these apart from a copy that was put back, or a volume that
/// was mounted anew. What tells them apart is that both go on while both are open: see
/// `Engine.newestEpochs`.
enum CopyPlace {
  static func here(_ path: String) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(machineID)
    writer.write(hostName)
    writer.write(DatabasePlace.realPath(path) ?? path)
    return SHA256.hash(writer.bytes).bytes
  }

  /// What the system was given when it was installed; containers of one image may share it, which
  /// is why the host's name counts as well.
  private static let machineID: String = {
    guard let file = fopen("/etc/machine-id", "re") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }()

  private static let hostName: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }()
}
