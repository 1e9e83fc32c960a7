import FoundationEssentials
import Glibc
import VecDBBlockStore

/// What a manifest carries as JSON beside the state, under a name.
protocol ManifestAnnotation: Codable, Sendable {
  static var name: String { get }
}

extension ManifestAnnotation {
  /// Nil if the manifest has none.
  init?(in manifest: Manifest) throws {
    guard let text = manifest.annotations[Self.name] else { return nil }
    self = try JSONDecoder().decode(Self.self, from: Data(text.utf8))
  }

  func write(to manifest: inout Manifest) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    manifest.annotations[Self.name] = String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

/// Canary recall as it was measured for a backup.
struct CanaryAnnotation: ManifestAnnotation {
  static let name = "canary"

  /// The LSN at which it was measured; the restore point's, unless writes went on meanwhile.
  var lsn: UInt64
  var report: CanaryReport
  /// See `Canaries.version`; nil for 1.
  var version: Int? = Canaries.version
}

/// What a backup had to do.
struct BackupAnnotation: ManifestAnnotation {
  static let name = "backup"

  /// Blocks, lists and log that were sent.
  var newBytes: Int
  var seconds: Double
}
