import BlockStore
import Foundation

/// Canary recall as a manifest carries it.
struct CanaryAnnotation: Codable, Sendable {
  static let name = "canary"

  /// The LSN at which it was measured; the restore point's, unless writes went on meanwhile.
  var lsn: UInt64
  var report: CanaryReport

  func encoded() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// Nil if the manifest has none.
  init?(in manifest: Manifest) throws {
    guard let text = manifest.annotations[Self.name] else { return nil }
    self = try JSONDecoder().decode(CanaryAnnotation.self, from: Data(text.utf8))
  }

  init(lsn: UInt64, report: CanaryReport) {
    self.lsn = lsn
    self.report = report
  }
}

/// What a backup had to do, as its manifest carries it.
struct BackupAnnotation: Codable, Sendable {
  static let name = "backup"

  /// Blocks, lists and log that were sent.
  var newBytes: Int
  var seconds: Double

  func encoded() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// Nil if the manifest has none.
  init?(in manifest: Manifest) throws {
    guard let text = manifest.annotations[Self.name] else { return nil }
    self = try JSONDecoder().decode(BackupAnnotation.self, from: Data(text.utf8))
  }

  init(newBytes: Int, seconds: Double) {
    self.newBytes = newBytes
    self.seconds = seconds
  }
}
