import VecDBBytes
import VecDBFiles

/// The size of every block of an array but its last, which may be shorter. Part of the format.
package let blockSizeBytes = 1 << 20

/// The size of a page: blocks start at multiples of it in a pack, so that they can be mapped.
package let packPageSizeBytes = 4096

/// The largest thing that is stored under a hash: the list of the longest array.
package let storedBlockLimitBytes = BlockList.encodedSizeBytes(
  lengthBytes: BlockList.lengthLimitBytes)

/// Where a block lies on the local disk.
package struct BlockLocation: Hashable, Sendable {
  /// The number of the checkpoint that wrote the pack.
  package var packNumber: UInt64
  /// A multiple of `packPageSizeBytes`.
  package var offsetBytes: Int
  package var lengthBytes: Int
}

/// The least multiple of the page size that is not below `bytes`.
func pageAligned(_ bytes: Int) -> Int {
  (bytes + packPageSizeBytes - 1) & ~(packPageSizeBytes - 1)
}

/// `number` in decimal with 20 digits, so that names sort as numbers do.
func fixedWidth(_ number: UInt64) -> String {
  let digits = String(number)
  return String(repeating: "0", count: 20 - digits.count) + digits
}

/// The number that exactly 20 decimal digits stand for; nil for anything else.
func parseFixedWidth(_ text: some StringProtocol) -> UInt64? {
  let digits = text.utf8
  guard digits.count == 20,
    digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
  else { return nil }
  return UInt64(text)
}

enum Remedy {
  static let restore =
    "Restore the database from a backup repository, or run `vecdb check` to see all damage."
  static let repository =
    "Run `vecdb verify` on the repository to see all damage; restore an undamaged backup."
  static let upgrade = "Use the version of vecdb that wrote it, or a newer one."
}

/// Runs a decoder and turns its failure into a `.corrupt` error that names the place.
func decoding<Result>(
  _ what: String, at location: String, remedy: String, _ body: () throws -> Result
) throws -> Result {
  do { return try body() } catch let failure as ByteReader.Failure {
    throw StoreError(
      .corrupt, "the \(what) is damaged: \(failure)", at: location, remedy: remedy)
  }
}
