import VecDBBytes

/// A name as part of a file's, which has 255 bytes at most: a longer one is cut, and told apart by
/// its hash. `bytes` is above 32.
package func boundedFileName(_ name: String, bytes limit: Int) -> String {
  guard name.utf8.count > limit else { return name }
  var kept = Array(name.utf8.prefix(limit - 18))
  // Not within a character.
  while String(validating: kept, as: UTF8.self) == nil, !kept.isEmpty { kept.removeLast() }
  return String(decoding: kept, as: UTF8.self) + "~" + SHA256.hash(Array(name.utf8)).hex.prefix(16)
}
