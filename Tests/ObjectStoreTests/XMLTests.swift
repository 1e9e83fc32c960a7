import Testing
import VecDBBytes
import VecDBObjectStore

@Suite struct XMLTests {
  private func read(_ text: String) -> XMLElement? { try? XMLReader.read(Array(text.utf8)) }

  @Test func readsWhatStoresSend() throws {
    let text = """
      <?xml version="1.0" encoding="UTF-8"?>
      <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
      <IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>
      <NextContinuationToken>t</NextContinuationToken><!-- so -->
      <Contents><Key>p/a%20b%2Bc</Key><LastModified>2026-12-01T07:56:28.000Z</LastModified>
      <ETag>&quot;x&quot;</ETag><Size>17</Size><StorageClass/></Contents></ListBucketResult>
      """
    let list = try ListDocument(Array(text.utf8))
    #expect(list.page.objects.map(\.name) == ["p/a b+c"] && list.page.next == "p/a b+c")
    #expect(list.page.objects.first?.sizeBytes == 17)
    let error = ErrorDocument(
      Array(
        "<Error><Code>A&amp;B</Code><Message>&lt;&#x41;&#66;&gt;</Message><Region>r</Region></Error>"
          .utf8))
    #expect(error?.code == "A&B" && error?.message == "<AB>" && error?.region == "r")
  }

  @Test func refusesEverythingElse() {
    for text in [
      "", "x", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a>&nbsp;</a>", "<a>&#0;</a>",
      "<a>&#xD800;</a>",
      "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<a b=c/>", "<a b='<'/>", "<a b='x/>",
      "<a><![CDATA[x]]></a>",
      "<?xml", "<a", "<a b", "<a><!-- </a>", "<a>&#+1;</a>", "<a>&#99999999;</a>", "<a /b>",
      "<a><?pi?></a>",
      String(repeating: "<a>", count: 100_000),
      String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17),
    ] { #expect(read(text) == nil, "\(text.prefix(40))") }
    #expect(throws: XMLReader.Failure.self) {
      try XMLReader.read([60, 97, 62, 0xFF, 60, 47, 97, 62])
    }
  }

  /// Whatever bytes come, there is an element or a failure.
  @Test func survivesAnyBytes() {
    var random = SplitMix(state: 7)
    let seed = Array(
      "<?xml version='1'?><ListBucketResult a='b'><IsTruncated>false</IsTruncated><Contents><Key>k&amp;&#65;</Key><Size>1</Size><LastModified>2026-12-01T07:56:28.000Z</LastModified></Contents><!-- c --></ListBucketResult>"
        .utf8)
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(place..<min(bytes.count, place + 5))
        case 2: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 9)], at: place)
        default: bytes[place] = Array("<>&;/!?'\"#x[]".utf8).randomElement(using: &random) ?? 0
        }
        if bytes.isEmpty { bytes = [60] }
      }
      if (try? XMLReader.read(bytes)) != nil { accepted += 1 }
      _ = try? ListDocument(bytes)
      _ = ErrorDocument(bytes)
      _ = try? WebIdentityDocument(bytes)
    }
    #expect(accepted > 0 && accepted < 20_000)
  }

  struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      splitMix64(&state)
    }
  }

  /// Numbers that a store sends are bounded before anything is computed with them.
  @Test func numbersOutOfRange() throws {
    let page = try ListDocument(
      Array(
        """
        <ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key>\
        <Size>\(Int.max)</Size><LastModified>2026-12-01T07:56:28Z</LastModified></Contents>\
        </ListBucketResult>
        """.utf8)
    ).page
    #expect(page.objects.map(\.sizeBytes) == [1 << 40])
    for text in ["\(Int64.min)", "-1", "0"] {
      #expect(RetryPolicy.asked(text, nowMilliseconds: 0) == 0)
    }
    #expect(RetryPolicy.asked("\(Int64.max)", nowMilliseconds: 0) == 86_400_000)
    #expect(RetryPolicy.asked("99999999999999999999", nowMilliseconds: 0) == nil)
  }
}
